import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import { catalogue, type MetricDefinition, type MetricSources, type Sample } from './catalogue.ts'

export interface MetricsOptions extends MetricSources {
  /** Event loop lag, garbage collection, memory, CPU and file descriptors of the process. Default true. */
  processMetrics?: boolean
}

/** What `/metrics` shows. Nothing is counted here: each scrape reads the counters and asks the sources. */
export class Metrics {
  readonly #registry = new Registry()

  constructor({ processMetrics = true, ...sources }: MetricsOptions) {
    for (const definition of catalogue) {
      // prom-client asks a metric for nothing but its name and get(); its own classes would have to be copied into at each scrape.
      this.#registry.registerMetric(new ScrapedMetric(definition, sources) as unknown as Metric)
    }
    if (processMetrics) collectDefaultMetrics({ register: this.#registry })
  }

  /** The Content-Type of what `renderMetrics` returns. */
  get contentType(): string {
    return this.#registry.contentType
  }

  /** Prometheus text exposition format 0.0.4. */
  renderMetrics(): Promise<string> {
    return this.#registry.metrics()
  }
}

class ScrapedMetric {
  readonly name: string
  readonly type: MetricDefinition['type']
  readonly help: string
  readonly aggregator = 'sum'
  readonly #definition: MetricDefinition
  readonly #sources: MetricSources

  constructor(definition: MetricDefinition, sources: MetricSources) {
    this.name = definition.name
    this.type = definition.type
    this.help = definition.help
    this.#definition = definition
    this.#sources = sources
  }

  get(): { name: string; help: string; type: string; values: Sample[]; aggregator: string } {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: this.#definition.read(this.#sources) }
  }
}
