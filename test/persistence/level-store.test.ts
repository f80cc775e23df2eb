import t from 'tap'
import { LevelStore } from '../../persistence/index.ts'
import { sessionStoreSuite } from './session-store-suite.ts'

sessionStoreSuite(t, folder => LevelStore.open({ folder }))
