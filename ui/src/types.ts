/** What the gateway answers, as far as the console shows it. Numbers are text (see `json.ts`). */

export interface Readiness {
  status: string;
  egress?: { mode: string; refused: string };
  degraded?: string[];
}

export interface Deployment {
  model_name: string;
  litellm_params: { model?: string; api_base?: string };
  model_info: {
    id: string;
    mode?: string | null;
    db_model?: boolean;
    routeiq?: { served?: boolean; upstream?: string; priced?: boolean; reason?: string; breaker?: string };
  };
}

export interface Endpoint {
  model_id: string;
  model_name: string;
  seconds: string | null;
  error?: string;
}

export interface Checks {
  healthy_endpoints: Endpoint[];
  unhealthy_endpoints: Endpoint[];
  unchecked_endpoints?: Endpoint[];
}

export interface DecisionRecord {
  strategy?: string;
  score?: string | null;
  ranking?: { group: string; score: string | null }[];
  reason?: string;
  artifact?: string | null;
  balancing?: string;
  ms?: string;
  passed_over?: { deployment: string; reason: string }[];
  attempts?: { deployment: string; outcome: string; ms: string }[];
  policy?: unknown;
  cached?: unknown;
}

export interface Call {
  request_id: string;
  call_type: string;
  api_key: string;
  model: string;
  model_group: string | null;
  model_id: string | null;
  spend: string | null;
  prompt_tokens: string;
  completion_tokens: string;
  total_tokens: string;
  startTime: string;
  request_duration_ms: string;
  team_id: string | null;
  status: string;
  http_status?: string;
  outcome?: string;
  stream?: boolean;
  estimated?: boolean;
  trace_id?: string | null;
  metadata: { decision?: DecisionRecord | null; user_api_key_alias?: string | null };
}

interface Standing {
  spend: string;
  max_budget: string | null;
  budget_duration: string | null;
  budget_reset_at: string | null;
  rpm_limit: string | null;
  tpm_limit: string | null;
  max_parallel_requests: string | null;
  blocked: boolean;
  models: string[];
}

export interface Key extends Standing {
  token_id?: string;
  token?: string;
  key_name: string | null;
  key_alias: string | null;
  team_id: string | null;
  user_id: string | null;
  role?: string | null;
  expires: string | null;
}

export interface Team extends Standing {
  team_id: string;
  team_alias: string | null;
}

export interface ReportRow {
  day?: string | null;
  model?: string | null;
  team_id?: string | null;
  team_alias?: string | null;
  requests: string;
  unpriced_requests: string;
  total_tokens: string;
  spend: string | null;
}

export interface Report {
  rows: ReportRow[];
  reconciled?: boolean;
}

export interface KeyPage {
  keys: Key[];
  total_count: string;
  current_page: string;
  total_pages: string;
}
