// A page of another origin that asks the services over gRPC-web, and tells the test what it was answered.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { BadRequestSchema, ErrorInfoSchema } from "./google/rpc/error_details_pb.js";
import { ForecastService } from "./salespipeline/analytics/v1/forecast_service_pb.js";
import { TokenService } from "./salespipeline/identity/v1/token_service_pb.js";
import { OpportunityService } from "./salespipeline/opportunities/v1/opportunity_service_pb.js";
import { SyncService } from "./salespipeline/opportunities/v1/sync_service_pb.js";

const { identity, opportunities, analytics, username, password } = await (await fetch("/settings.json")).json();
const at = (place) => createGrpcWebTransport({ baseUrl: `http://${place}` });

async function tell() {
  const { token } = await createClient(TokenService, at(identity)).issueToken({ username, password });
  const headers = { Authorization: `Bearer ${token.accessToken}` };

  const forecast = await createClient(ForecastService, at(analytics)).getForecast({ period: "quarter" }, { headers, timeoutMs: 5000 });

  let items = 0;
  for await (const message of createClient(SyncService, at(opportunities)).streamSyncItems({ limit: 200 }, { headers })) {
    items += message.items.length;
    if (!message.hasMore) break;
  }

  const refused = {};
  try {
    const bad = { customerName: "ABC", opportunityName: " ", amount: { units: -1n } };
    await createClient(OpportunityService, at(opportunities)).createOpportunity(bad, { headers });
  } catch (error) {
    const it = ConnectError.from(error);
    refused.code = Code[it.code];
    refused.reason = it.findDetails(ErrorInfoSchema)[0].reason;
    refused.fields = it.findDetails(BadRequestSchema)[0].fieldViolations.map((field) => field.field).sort();
  }
  return { period: forecast.period, hasRange: forecast.forecast !== undefined, items, refused, browser: navigator.userAgent };
}

const result = await tell().catch((error) => ({ error: String(error) }));
await fetch("/result", { method: "POST", body: JSON.stringify(result) });
