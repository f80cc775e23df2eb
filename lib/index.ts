/** What `import ... from 'tributary'` gives: the broker for Node.js developers, and the whole server. */

import { Broker, type BrokerOptions } from './broker/broker.ts'

export type { LevelStoreOptions } from '../persistence/index.ts'
export { LevelStore } from '../persistence/index.ts'
export type {
  AuthenticationVerdict,
  Authenticator,
  BrokerAccess,
  CompiledPolicy,
  Credentials,
  EnhancedAuthenticator,
  EnhancedExchange,
  EnhancedIdentity,
  EnhancedStart,
  EnhancedStep,
  Identity,
  PeerIdentity,
  Policy
} from './access/contract.ts'
export type { ScramUser, ScramUsers } from './access/scram.ts'
export { ScramSha256 } from './access/scram.ts'
export type { ScramVerifier, ScramVerifierOptions } from './access/scram-verifier.ts'
export { formatScramVerifier, parseScramVerifier, scramVerifier } from './access/scram-verifier.ts'
export type { AppliedStreams, ApplyOptions } from './apply/applied-streams.ts'
export type { Deletion, Plan, ReaderLoss, SettingChange, StreamChange } from './apply/plan.ts'
export type { BrokerLogger, BrokerOptions } from './broker/broker.ts'
export { Broker } from './broker/broker.ts'
export type { Redirection } from './broker/broker-options.ts'
export type { ClientDescription } from './broker/client-description.ts'
export type { Connection } from './broker/connection.ts'
export type { DisconnectOptions } from './broker/disconnect-code.ts'
export type { AuthenticateEnhancedHook } from './broker/enhanced-authentication.ts'
export type { BrokerFeatures } from './broker/features.ts'
export type { BrokerLimits } from './broker/limits.ts'
export type { Config, StreamConfig } from './config/config.ts'
export { defaultConfig, loadConfig, parseConfig } from './config/load.ts'
export { parseStreamsFile, readStreamsFile } from './config/streams-file.ts'
export type { DeadLetter, DeadLetterPolicy, DeadLetterReason, DeadLetters } from './dead-letter/contract.ts'
export type { ActReport, LetterPage, MarkedLetter, RedriveOptions } from './dead-letter/dead-letter-desk.ts'
export { DeadLetterDesk } from './dead-letter/dead-letter-desk.ts'
export { DeadLetterLog } from './dead-letter/dead-letter-log.ts'
export type { LetterSelection } from './dead-letter/selection.ts'
export type { ErrorCode } from './errors.ts'
export { errorCodes, TributaryError } from './errors.ts'
export type { Message } from './mqtt/message.ts'
export type { Properties, PublishPacket, Qos } from './mqtt/packet.ts'
export { reasonCode } from './mqtt/reason-code.ts'
export type { ServerAddress, ServerOptions } from './server.ts'
export { Server } from './server.ts'
export type {
  Cleanup,
  CompactionPolicy,
  CompactionStats,
  ReadBatch,
  ReadFrom,
  ReadOptions,
  RecordSource,
  Stream,
  StreamGap,
  StreamRecord,
  StreamStats
} from './stream/contract.ts'
export type { StreamDeclaration } from './stream/declaration.ts'
export type { BatchOptions, GroupConsumer, RecordPosition } from './stream/groups/consumer.ts'
export type { GroupDescription, GroupSettings } from './stream/groups/contract.ts'
export type { ConsumerGroups, GroupReference, JoinOptions } from './stream/groups/groups.ts'
export type { ResetOptions, ResetResult } from './stream/groups/reset.ts'
export { Streams } from './stream/streams.ts'

/**
 * A broker that is ready to `handle` connections, as `Aedes.createBroker`. With Aedes' options alone it is as durable as the
 * persistence plugged in; with `store` and `streams` it acknowledges nothing before it is on disk. For listeners, configuration
 * and everything else there is `Server.start`.
 */
export function createBroker(options?: BrokerOptions): Promise<Broker> {
  return Broker.createBroker(options)
}
