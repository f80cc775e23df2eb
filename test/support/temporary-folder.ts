import type { Test } from 'tap'

/**
 * A folder of the test's own, with this in it. It goes when everything the test has started is torn down. By itself, tap removes the
 * folder first when it was made before the first teardown was named, under the feet of brokers that still write.
 */
export function temporaryFolder(t: Pick<Test, 'teardown' | 'testdir'>, content?: Parameters<Test['testdir']>[0]): string {
  t.teardown(() => {})
  return t.testdir(content)
}
