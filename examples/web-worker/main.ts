/** The page: a button, a curve, and pictures. It computes nothing, so that it never stutters. */
import type { Shown, StartMessage, WorkerMessage } from './messages.ts'

const element = <T extends Element>(id: string) => document.querySelector(`#${id}`) as T
const button = element<HTMLButtonElement>('button')
const status = element<HTMLOutputElement>('status')
const curve = element<HTMLCanvasElement>('curve')
const digits = element<HTMLDivElement>('digits')

// ?pictures=1000&epochs=1 for a quick look
const wanted = new URLSearchParams(location.search)
const start: StartMessage = {
  pictures: Number(wanted.get('pictures') ?? 6000),
  epochs: Number(wanted.get('epochs') ?? 3),
}

let worker: Worker | undefined
/** Losses of the steps so far, and what else is known of the training. */
const losses: number[] = []
let where = ''
let measured = ''

button.addEventListener('click', () => {
  if (worker !== undefined) return stop('stopped')
  // Bundlers look for exactly this form: it tells them that worker.ts is a program of its own.
  worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
  worker.addEventListener('message', ({ data }: MessageEvent<WorkerMessage>) => show(data))
  worker.addEventListener('error', ({ message }) => stop(`the worker failed: ${message}`))
  worker.postMessage(start)
  button.textContent = 'Stop'
  status.textContent = 'making pictures …'
  losses.length = 0
  digits.replaceChildren()
  measured = ''
})

function stop(why: string): void {
  worker?.terminate()
  worker = undefined
  button.textContent = 'Train'
  status.textContent = why
}

function show(message: WorkerMessage): void {
  switch (message.kind) {
    case 'start': {
      const memory = crossOriginIsolated ? '' : '; the page is not cross-origin isolated, so there can be only one'
      where = `${message.backend}, ${message.threads} threads${memory}`
      break
    }
    case 'step':
      status.textContent = `step ${message.done} of ${message.total}${measured} (${where})`
      losses.push(message.loss)
      drawCurve(message.total)
      break
    case 'epoch':
      measured = `, ${percent(message.accuracy)} of the held-out digits are right`
      break
    case 'end':
      stop(`done in ${message.seconds.toFixed(1)} s: it reads ${percent(message.accuracy)} of digits it has never seen`)
      digits.replaceChildren(...message.shown.map(drawDigit))
      break
    case 'error':
      stop(`error: ${message.message}`)
      break
    default:
      message satisfies never
  }
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`

function drawCurve(total: number): void {
  const context = curve.getContext('2d') as CanvasRenderingContext2D
  const { width, height } = curve
  const highest = Math.max(2.4, ...losses)
  context.clearRect(0, 0, width, height)
  context.beginPath()
  for (const [i, loss] of losses.entries()) context.lineTo((width * i) / total, height - (height * loss) / highest)
  context.lineWidth = 2
  context.strokeStyle = '#06c'
  context.stroke()
}

function drawDigit({ pixels, label, predicted }: Shown): HTMLElement {
  const side = Math.sqrt(pixels.length)
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = side
  const image = new ImageData(side, side)
  for (const [i, grey] of pixels.entries()) image.data.set([grey, grey, grey, 255], 4 * i)
  canvas.getContext('2d')?.putImageData(image, 0, 0)
  const caption = document.createElement('figcaption')
  caption.textContent = String(predicted)
  if (predicted !== label) caption.className = 'wrong'
  const figure = document.createElement('figure')
  figure.append(canvas, caption)
  return figure
}
