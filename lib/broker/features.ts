/** What MQTT 5 lets a server do without. What is off is announced in CONNACK and refused; native engine only. */
export interface BrokerFeatures {
  /** Retained messages. Off: DISCONNECT 0x9A, a will CONNACK 0x9A; 3.1.1 clients are closed. */
  retain: boolean
  /** Off: DISCONNECT 0xA2; 3.1.1 clients get 0x80 in the SUBACK. */
  wildcardSubscriptions: boolean
  /** Off: DISCONNECT 0xA1. */
  subscriptionIdentifiers: boolean
  /** Off: DISCONNECT 0x9E; 3.1.1 clients get 0x80 in the SUBACK. */
  sharedSubscriptions: boolean
}

export const defaultFeatures: BrokerFeatures = {
  retain: true,
  wildcardSubscriptions: true,
  subscriptionIdentifiers: true,
  sharedSubscriptions: true
}
