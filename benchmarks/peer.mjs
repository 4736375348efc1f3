// The peer of `benchmarks.chain` as its documentation has it used: 200 when PostgreSQL has the event. GET: how many.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'

const { StripeSync, runMigrations } = createRequire(process.cwd() + '/')('@supabase/stripe-sync-engine')
const { DATABASE_URL: databaseUrl, WEBHOOK_SECRET: stripeWebhookSecret } = process.env
const COUNT = 'SELECT (SELECT count(*) FROM stripe.charges) + (SELECT count(*) FROM stripe.invoices) AS rows'

const logger = { info() {}, error(...what) { console.error(...what); process.exit(1) } }
await runMigrations({ databaseUrl, schema: 'stripe', logger })
const sync = new StripeSync({
  poolConfig: { connectionString: databaseUrl, max: 10 },
  stripeSecretKey: 'sk_test_none',
  stripeWebhookSecret,
})
const server = createServer(async (request, response) => {
  try {
    if (request.method === 'GET') {
      response.end(String((await sync.postgresClient.query(COUNT)).rows[0].rows))
      return
    }
    const pieces = []
    for await (const piece of request) pieces.push(piece)
    await sync.processWebhook(Buffer.concat(pieces), request.headers['stripe-signature'])
    response.end('ok')
  } catch (error) {
    console.error(error)
    response.writeHead(error.type === 'StripeSignatureVerificationError' ? 400 : 500).end()
  }
})
server.keepAliveTimeout = 75_000 // as the door's
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
