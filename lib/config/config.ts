/**
 * The configuration as the rest of the program sees it: complete (every default filled in), durations in milliseconds or
 * seconds as the names say, sizes in bytes, paths absolute. Made by `loadConfig` and `defaultConfig`; the words of the YAML file
 * and their defaults are in schema.ts.
 */
export interface Config {
  /** Folder of everything that is kept; absolute. */
  data: string
  listeners: ListenerConfig[]
  admin: AdminConfig | false
  access: AccessConfig
  /** Declared streams by name. Has no prototype, so that a stream may be called `constructor`. */
  streams: Record<string, StreamConfig>
  /** What an acknowledgement waits for outside streams; the first matching filter counts, without one it is `synced`. */
  ack: AckConfig[]
  /** `false`: what cannot be delivered is counted only. */
  deadLetter: DeadLetterConfig | false
  storage: StorageConfig
  limits: Limits
  features: Features
  /** Beginning of a client's response topics, `{clientId}` and `{username}` to be filled in; '' = none. */
  responseTopicPrefix: string
  /** Another server for the clients of this one. */
  serverReference?: string | undefined
  log: LogConfig
  shutdown: ShutdownConfig
}

export type ListenerConfig = TcpListenerConfig | TlsListenerConfig | WsListenerConfig | WssListenerConfig

interface ListenerBase {
  host: string
  /** 0 = the system chooses a free one. */
  port: number
  anonymous: ListenerAnonymous
}

/** Whether clients without credentials are let in here, provided `access.anonymous` is true: see `anonymousAllowed`. */
export type ListenerAnonymous = 'allow-on-loopback' | 'allow-from-anywhere' | 'deny'

export interface TcpListenerConfig extends ListenerBase {
  type: 'tcp'
}

export interface TlsListenerConfig extends ListenerBase, TlsSettings {
  type: 'tls'
}

export interface WsListenerConfig extends ListenerBase, WebSocketSettings {
  type: 'ws'
}

export interface WssListenerConfig extends ListenerBase, TlsSettings, WebSocketSettings {
  type: 'wss'
}

export interface TlsSettings {
  /** PEM files; absolute. */
  cert: string
  key: string
  /** Certificates of the authorities that sign client certificates. */
  ca?: string | undefined
  clientCertificate: 'none' | 'request' | 'require'
  minVersion: 'TLSv1.2' | 'TLSv1.3'
}

export interface WebSocketSettings {
  /** URL path of the WebSocket endpoint. */
  path: string
  /** Web origins whose pages may connect; `*` = all. Absent: only pages of the host that is connected to. */
  origins?: string[] | undefined
}

export interface AdminConfig {
  host: string
  port: number
  /** Hashes of the tokens that let callers in; absolute. */
  tokenFile?: string | undefined
  /** Reads of records at the same time. */
  maxReaders: number
}

export interface AccessConfig {
  anonymous: boolean
  /** Absolute paths. */
  passwordFile?: string | undefined
  aclFile?: string | undefined
  hooks?: string | undefined
  /** SCRAM-SHA-256 against the password file: absent = where it has verifiers. */
  scram?: boolean | undefined
  /** What of a verified client certificate becomes the username. */
  certificateIdentity: 'commonName' | 'fingerprint'
}

/** What an acknowledgement waits for: data on disk, data handed to the operating system, or nothing. */
export type AckMode = 'synced' | 'written' | 'received'

/** How consumer groups treat what is not acknowledged; as lib/stream/groups takes it. */
export interface GroupsConfig {
  maxDeliveryAttempts: number
  ackTimeoutMs: number
  retryDelayMs: number
  refused: 'dead-letter' | 'retry'
}

export interface StreamConfig {
  filter: string
  key: 'clientId' | 'topic'
  partitions: number
  /** Milliseconds and bytes; 0 = no limit. */
  retention: { ageMs: number; bytes: number }
  cleanup: 'delete' | 'compact' | 'compact-delete'
  compaction: {
    tombstoneAgeMs: number
    /** 0 to 1 */
    minDirtyRatio: number
    maxLagMs: number
    memoryBytes: number
    bytesPerSecond: number
  }
  groups: GroupsConfig
  ack: AckMode
  segmentBytesMax: number
  /** What payloads have to be; absent: anything. */
  schema?: StreamSchemaConfig | undefined
  /** How repetitions are known; absent: they are not. */
  deduplicate?: DeduplicateConfig | undefined
}

/** Either `subject` or `file` is there. */
export interface StreamSchemaConfig {
  subject?: string | undefined
  version: number | 'latest'
  /** Absolute in the configuration. */
  file?: string | undefined
  onInvalid: 'reject' | 'dead-letter' | 'tag'
  maxPayloadBytes: number
  maxDepth: number
}

export interface DeduplicateConfig {
  windowMs: number
  maxEntries: number
  by: ('message-id' | 'packet-id')[]
}

export interface DeadLetterConfig {
  includeQos0: boolean
  noSubscriber: boolean
  cleanSessions: boolean
  /** Milliseconds and bytes; age 0 = no limit. */
  retention: { ageMs: number; bytes: number }
  redrivePerSecond: number
}

/** Bytes; 0 = no limit. */
export interface StorageConfig {
  /** All streams together. */
  quota: number
  /** To stay free on the disk. */
  minFreeBytes: number
  whenFull: 'read-only' | 'delete-oldest'
  checkIntervalMs: number
}

export interface AckConfig {
  filter: string
  mode: AckMode
}

/** Every limit has a policy for when it is reached: see the descriptions in schema-limits.ts and docs/configuration.md. */
export interface Limits {
  maxPacketBytes: number
  maxQueuedMessagesPerSession: number
  receiveMaximum: number
  maxInflight: number
  maxConnections: number
  maxSubscriptionsPerSession: number
  maxTopicLevels: number
  topicAliasMaximum: number
  outboundTopicAliasMaximum: number
  maximumQos: 0 | 1 | 2
  keepAliveSecondsMax: number
  /** 4294967295 = sessions never expire. */
  sessionExpirySecondsMax: number
  connectTimeoutMs: number
  maxOutboundBufferBytes: number
  maxUncommittedBytes: number
  maxRetainedMessages: number
}

/** Parts of MQTT 5 a server may do without. */
export interface Features {
  retain: boolean
  wildcardSubscriptions: boolean
  subscriptionIdentifiers: boolean
  sharedSubscriptions: boolean
}

export interface LogConfig {
  level: LogLevel
  format: 'auto' | 'json' | 'pretty'
}

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

export interface ShutdownConfig {
  drainTimeoutMs: number
}
