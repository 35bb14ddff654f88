/** HTTP in Node. The package undici is loaded when the first request is made: Node's own fetch knows no proxies. */
import { ConfigError } from '../base/errors.ts'
import { version } from '../base/version.ts'
import { type HttpAnswer, lengthOf, NetworkFailure, piecesOf } from './download.ts'

/**
 * GET through the proxy that HTTPS_PROXY or HTTP_PROXY names (lower case goes first) unless NO_PROXY excepts the host.
 * @throws NetworkFailure when there is no answer, ConfigError when a proxy variable holds no address
 */
export async function httpGet(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const { EnvHttpProxyAgent, fetch } = await import('undici')
  const dispatcher = new EnvHttpProxyAgent({
    httpProxy: proxyOf('http_proxy', 'HTTP_PROXY'),
    httpsProxy: proxyOf('https_proxy', 'HTTPS_PROXY'),
    // Proxies commonly refuse tunnels to port 80; they want to be asked for plain HTTP.
    proxyTunnel: false,
  })
  try {
    const response = await fetch(url, {
      headers: { 'user-agent': `juanji/${version}`, ...headers },
      signal,
      dispatcher,
    })
    const encoded = (response.headers.get('content-encoding') ?? 'identity') !== 'identity'
    return {
      status: response.status,
      statusText: response.statusText,
      header: (name) => response.headers.get(name) ?? undefined,
      length: encoded ? undefined : lengthOf(response.headers.get('content-length')),
      encoded,
      body: piecesOf(response.body, networkFailure),
      async close() {
        if (response.body?.locked === false) await response.body.cancel().catch(() => undefined)
        await dispatcher.destroy()
      },
    }
  } catch (error) {
    await dispatcher.destroy()
    throw networkFailure(error)
  }
}

function proxyOf(...names: readonly string[]): string | undefined {
  const name = names.find((candidate) => process.env[candidate] !== undefined)
  const value = name === undefined ? undefined : process.env[name]
  if (name === undefined || value === undefined || value === '') return undefined
  const address = value.includes('://') ? value : `http://${value}`
  if (URL.canParse(address) && /^(https?|socks5?):/i.test(address)) return address
  // The value may hold a password: it is not shown.
  throw new ConfigError({
    where: name,
    what: 'this variable does not hold the address of a proxy',
    expected: 'an address such as http://proxy.example:3128',
    fix: `correct ${name}, or unset it`,
  })
}

const certificateFix = 'where a proxy signs with a certificate of its own, name its file with NODE_EXTRA_CA_CERTS'

/** Error codes of Node, its resolver and undici; `passing` ones may go better in a moment. */
const reasons: Readonly<Record<string, readonly [reason: string, passing: boolean]>> = {
  ENOTFOUND: ['no address is known for the host', false],
  EAI_AGAIN: ['names of hosts cannot be looked up, there seems to be no network', true],
  ECONNREFUSED: ['the connection is refused', true],
  ECONNRESET: ['the connection was closed', true],
  EPIPE: ['the connection was closed', true],
  UND_ERR_SOCKET: ['the connection was closed', true],
  ETIMEDOUT: ['there is no answer', true],
  UND_ERR_CONNECT_TIMEOUT: ['there is no answer', true],
  EHOSTUNREACH: ['the network does not reach the host', true],
  ENETUNREACH: ['the network does not reach the host', true],
  ENETDOWN: ['the network is down', true],
}

const certificateCodes = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH)/

function networkFailure(thrown: unknown): NetworkFailure {
  const { code, message } = innermost(thrown)
  const tunnel = /Proxy response \((\d+)\)/.exec(message)
  if (tunnel !== null) {
    const fix =
      'check HTTPS_PROXY and HTTP_PROXY, with name and password where the proxy wants them; NO_PROXY excepts hosts'
    return new NetworkFailure(`the proxy answers with status ${tunnel[1]}`, { passing: tunnel[1] >= '500', fix })
  }
  if (certificateCodes.test(code)) {
    const reason = `the certificate of the server is not trusted (${message})`
    return new NetworkFailure(reason, { passing: false, fix: certificateFix })
  }
  const known = reasons[code]
  if (known !== undefined) return new NetworkFailure(`${known[0]} (${code})`, { passing: known[1] })
  // What has no code does not come from the network, such as an endless redirection.
  return new NetworkFailure(message, { passing: code !== '' })
}

/** fetch wraps what happened into errors that say nothing. */
function innermost(thrown: unknown): { code: string; message: string } {
  let error = thrown as Error & { code?: unknown }
  while (error.cause instanceof Error && typeof error.code !== 'string') error = error.cause
  return { code: typeof error.code === 'string' ? error.code : '', message: error.message.replace(/\.$/, '') }
}
