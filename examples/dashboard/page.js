import { MqttListener } from './mqtt.js'

/** Readings kept for the line of a device. */
const HISTORY = 60
const SILENT_AFTER_MS = 10_000

const broker = new URLSearchParams(location.search).get('broker') ?? 'ws://127.0.0.1:8083/mqtt'
const element = id => document.getElementById(id)
/** By device id, in the order of their first message. */
const devices = new Map()
let total = 0
/** Times of the messages of the last seconds. */
let recent = []

new MqttListener(broker, ['devices/+/telemetry'], {
  state(state) {
    element('state').textContent = state === 'online' ? `online · ${new URL(broker).host}` : state
    element('state').className = state
  },
  message(topic, payload) {
    const reading = parse(payload)
    if (reading === undefined) return
    total++
    recent.push(performance.now())
    const id = topic.split('/')[1]
    const device = devices.get(id) ?? addDevice(id)
    device.seenAt = performance.now()
    device.reading = reading
    if (typeof reading.temperature === 'number') device.history.push(reading.temperature)
    if (device.history.length > HISTORY) device.history.shift()
    device.changed = true
  }
})

// Drawn at the pace of the screen, however many messages arrive.
requestAnimationFrame(function draw() {
  for (const device of devices.values()) if (device.changed) drawDevice(device)
  requestAnimationFrame(draw)
})
setInterval(drawFigures, 500)

function parse(payload) {
  try {
    const reading = JSON.parse(new TextDecoder().decode(payload))
    return typeof reading === 'object' && reading !== null ? reading : undefined
  } catch {
    // Not every message on these topics need be JSON; this page shows those that are.
    return undefined
  }
}

function addDevice(id) {
  const article = element('device').content.cloneNode(true).querySelector('article')
  article.querySelector('h2').textContent = id
  const device = { article, history: [], reading: {}, seenAt: 0, changed: true }
  devices.set(id, device)
  // Sorted by name, so that a card does not move when others come.
  const next = [...element('devices').children].find(other => other.querySelector('h2').textContent.localeCompare(id) > 0)
  element('devices').insertBefore(article, next ?? null)
  element('empty').hidden = true
  return device
}

function drawDevice(device) {
  const { article, reading, history } = device
  device.changed = false
  article.querySelector('.reading span').textContent = number(reading.temperature, 1)
  const line = path(history)
  article.querySelector('.trace').setAttribute('d', line)
  article.querySelector('.area').setAttribute('d', line && `${line}L100,100L0,100Z`)
  const [humidity, battery] = article.querySelectorAll('.meter')
  meter(humidity, reading.humidity)
  meter(battery, reading.battery)
  battery.classList.toggle('low', reading.battery < 20)
}

function meter(bar, percent) {
  bar.firstElementChild.style.width = `${Math.min(100, Math.max(0, Number(percent) || 0))}%`
  bar.nextElementSibling.textContent = `${number(percent, 0)} %`
}

/** A line through the values, over the whole width and at least one degree high. */
function path(values) {
  if (values.length < 2) return ''
  const low = Math.min(...values)
  const height = Math.max(1, Math.max(...values) - low)
  return values
    .map((value, i) => `${i === 0 ? 'M' : 'L'}${(i / (values.length - 1)) * 100},${92 - ((value - low) / height) * 84}`)
    .join('')
}

function drawFigures() {
  const now = performance.now()
  recent = recent.filter(time => time > now - 5_000)
  element('deviceCount').textContent = devices.size
  element('rate').textContent = (recent.length / 5).toFixed(1)
  element('total').textContent = total.toLocaleString('en-US')
  const temperatures = [...devices.values()].map(({ reading }) => reading.temperature).filter(value => typeof value === 'number')
  const sum = temperatures.reduce((a, b) => a + b, 0)
  element('mean').textContent = temperatures.length === 0 ? '–' : `${(sum / temperatures.length).toFixed(1)} °C`
  for (const { article, seenAt } of devices.values()) {
    const silentMs = now - seenAt
    article.classList.toggle('silent', silentMs > SILENT_AFTER_MS)
    article.querySelector('time').textContent = silentMs < 2_000 ? 'now' : `${Math.round(silentMs / 1000)} s ago`
  }
}

function number(value, digits) {
  return typeof value === 'number' ? value.toFixed(digits) : '–'
}
