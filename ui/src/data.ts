/** What the views load: one function per question, each from the management API. */

import { ApiError, get } from "./api";
import { decimal, ZERO } from "./money";
import { day, type Sum, sums } from "./sums";
import type { Call, Checks, Deployment, Key, KeyPage, Readiness, Report, ReportRow, Team } from "./types";

export const KEYS_PER_PAGE = 100;

export async function loadReadiness(key: string, signal: AbortSignal): Promise<Readiness> {
  // 503 is an answer here: it says that the gateway takes no calls.
  return (await get<Readiness>(key, "/health/readiness", signal, [503])).value;
}

export async function loadWorkers(key: string, signal: AbortSignal): Promise<string | null> {
  return (await optional(get<{ workers?: string }>(key, "/health/config-sync", signal)))?.value.workers ?? null;
}

export async function loadModels(key: string, signal?: AbortSignal): Promise<Deployment[]> {
  return (await get<{ data: Deployment[] }>(key, "/model/info", signal)).value.data;
}

export async function loadChecks(key: string, signal: AbortSignal): Promise<Checks> {
  return (await get<Checks>(key, "/health", signal)).value;
}

export interface Page<T> {
  readonly items: T[];
  /** Whether there are more than were asked for. */
  readonly more: boolean;
}

export async function loadCalls(key: string, signal: AbortSignal, limit: number): Promise<Page<Call>> {
  const { value, headers } = await get<Call[]>(key, `/spend/logs?limit=${limit}`, signal);
  return { items: value, more: headers.has("x-routeiq-next-offset") };
}

export async function loadKeys(key: string, signal: AbortSignal, page: number): Promise<KeyPage> {
  const path = `/key/list?return_full_object=true&page=${page}&size=${KEYS_PER_PAGE}`;
  return (await get<KeyPage>(key, path, signal)).value;
}

export async function loadTeams(key: string, signal: AbortSignal): Promise<Team[]> {
  const { value } = await get<Team[] | { teams: Team[] }>(key, "/team/list", signal);
  return Array.isArray(value) ? value : value.teams;
}

/** Which alias a key's id stands for; grows as ids are met, so that any number of keys may exist. */
export type Names = Map<string, string>;

const MASTER = "master";
const ASKED_AT_ONCE = 50;

/** Learn the names of the keys that made these calls, unless they are known. */
export async function learnNames(key: string, signal: AbortSignal, calls: readonly Call[], names: Names): Promise<void> {
  const met = new Set(calls.map((call) => call.api_key));
  const unknown = [...met].filter((id) => id !== MASTER && !names.has(id)).slice(0, ASKED_AT_ONCE);
  const learn = async (id: string) => {
    const path = `/key/list?return_full_object=true&size=1&key_hash=${encodeURIComponent(id)}`;
    const found = (await optional(get<KeyPage>(key, path, signal)))?.value.keys[0];
    // A key that was deleted keeps its calls, not its name.
    names.set(id, found ? keyName(found) : short(id));
  };
  await Promise.all(unknown.map(learn));
}

export function keyId(key: Key): string {
  return key.token_id ?? key.token ?? "";
}

export function keyName(key: Key): string {
  return key.key_alias || key.key_name || short(keyId(key));
}

export function whoCalled(call: Call, names: Names): string {
  if (call.api_key === MASTER) return "master key";
  return call.metadata.user_api_key_alias || names.get(call.api_key) || short(call.api_key);
}

/** Ids of 64 digits tell nobody more than their beginning. */
export function short(id: string): string {
  return id.length > 16 ? `${id.slice(0, 10)}…` : id;
}

/** What a gateway without this path answers with null. */
export async function optional<T>(loading: Promise<T>): Promise<T | null> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}

export interface SpendReport {
  readonly first: string;
  readonly last: string;
  readonly days: readonly Sum[];
  readonly models: readonly Sum[];
  /** "" is no team. */
  readonly teams: readonly Sum[];
  /** Whether the gateway's sums agree with what was charged; null: it does not say. */
  readonly reconciled: boolean | null;
  /** Whether older calls of the time are missing. */
  readonly partial: boolean;
}

const MOST_CALLS = 10_000;

/** The gateway's own reports; a gateway without them has its newest calls added up here. */
export async function loadSpend(key: string, signal: AbortSignal, days: number): Promise<SpendReport> {
  const last = day(new Date());
  const first = day(new Date(Date.now() - (days - 1) * 86_400_000));
  const span = `start_date=${first}&end_date=${last}`;
  const report = (by: string) => get<Report>(key, `/global/spend/report?${span}&group_by=${by}&format=json`, signal);
  const found = await optional(Promise.all([report("day"), report("model"), report("team")]));
  if (found !== null) {
    const [byDay, byModel, byTeam] = found.map(({ value }) => value) as [Report, Report, Report];
    return {
      first,
      last,
      days: byDay.rows.map((row) => sumOf(row, row.day ?? "")),
      models: byModel.rows.map((row) => sumOf(row, row.model ?? "")),
      teams: byTeam.rows.map((row) => sumOf(row, row.team_alias || row.team_id || "")),
      reconciled: byDay.reconciled ?? null,
      partial: false,
    };
  }
  const { value, headers } = await get<Call[]>(key, `/spend/logs?${span}&limit=${MOST_CALLS}`, signal);
  return {
    first,
    last,
    days: sums(value, (call) => call.startTime.slice(0, 10)),
    models: sums(value, (call) => call.model_group ?? ""),
    teams: sums(value, (call) => call.team_id ?? ""),
    reconciled: null,
    partial: headers.has("x-routeiq-next-offset"),
  };
}

function sumOf(row: ReportRow, name: string): Sum {
  return {
    name,
    calls: Number(row.requests),
    unpriced: Number(row.unpriced_requests),
    tokens: Number(row.total_tokens),
    spend: decimal(row.spend) ?? ZERO,
  };
}
