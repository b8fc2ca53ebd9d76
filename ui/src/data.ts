/** What the views load: one function per question, each from the management API. */

import { ApiError, get } from "./api";
import { day, type Sum, sums } from "./sums";
import type { Call, Checks, Deployment, Key, KeyPage, Readiness, Team } from "./types";

export const KEYS_PER_PAGE = 100;

export async function loadReadiness(key: string, signal: AbortSignal): Promise<Readiness> {
  // 503 is an answer here: it says that the gateway takes no calls.
  return (await get<Readiness>(key, "/health/readiness", signal, [503])).value;
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

/** How people call what the ledger knows by ids. */
export interface Names {
  readonly keys: ReadonlyMap<string, string>;
  readonly teams: ReadonlyMap<string, string>;
}

export const NO_NAMES: Names = { keys: new Map(), teams: new Map() };

export async function loadNames(key: string, signal: AbortSignal): Promise<Names> {
  const [keys, teams] = await Promise.all([
    optional(loadKeys(key, signal, 1)),
    optional(loadTeams(key, signal)),
  ]);
  return {
    keys: new Map((keys?.keys ?? []).map((item) => [keyId(item), keyName(item)])),
    teams: new Map((teams ?? []).map((team) => [team.team_id, team.team_alias || team.team_id])),
  };
}

export function keyId(key: Key): string {
  return key.token_id ?? key.token ?? "";
}

export function keyName(key: Key): string {
  return key.key_alias || key.key_name || short(keyId(key));
}

export function whoCalled(call: Call, names: Names): string {
  return call.metadata.user_api_key_alias || names.keys.get(call.api_key) || short(call.api_key);
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
  /** By team id; "" is no team. */
  readonly teams: readonly Sum[];
  /** Whether older calls of the time are missing. */
  readonly partial: boolean;
}

const MOST_CALLS = 10_000;

export async function loadSpend(key: string, signal: AbortSignal, days: number): Promise<SpendReport> {
  const last = day(new Date());
  const first = day(new Date(Date.now() - (days - 1) * 86_400_000));
  const path = `/spend/logs?start_date=${first}&end_date=${last}&limit=${MOST_CALLS}`;
  const { value, headers } = await get<Call[]>(key, path, signal);
  return {
    first,
    last,
    days: sums(value, (call) => call.startTime.slice(0, 10)),
    models: sums(value, (call) => call.model_group ?? ""),
    teams: sums(value, (call) => call.team_id ?? ""),
    partial: headers.has("x-routeiq-next-offset"),
  };
}
