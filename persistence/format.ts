import { TributaryError } from '../lib/errors.ts'
import type { Database } from './database.ts'
import { FORMAT_KEY } from './keys.ts'

/** Version of the whole layout. Records carry a version of their own for changes that can live side by side. */
const FORMAT_VERSION = 1

/** A new folder gets the format record; any other must have one we know. */
export async function checkFormat(folder: string, database: Database): Promise<void> {
  const found = database.getSync(FORMAT_KEY)
  if (found?.length === 1 && found[0] === FORMAT_VERSION) return
  if (found !== undefined) {
    const why = `${folder} has store format ${found.toString('hex')}, this version reads ${FORMAT_VERSION}: use the version that wrote it`
    throw new TributaryError('TRB_STORE_CORRUPT', why)
  }
  const keys = database.db.keys({ limit: 1 })
  const empty = (await keys.next()) === undefined
  await keys.close()
  if (!empty) throw new TributaryError('TRB_STORE_CORRUPT', `${folder} is a LevelDB database of something else`)
  await database.write(batch => batch.put(FORMAT_KEY, Buffer.from([FORMAT_VERSION])), true)
}
