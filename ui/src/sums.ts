/** Sums over calls, exact. Pure. */

import { add, compare, type Decimal, decimal, ZERO } from "./money";
import type { Call } from "./types";

/** A day, model or team: what its calls cost. `unpriced` calls have no price and are not in `spend`. */
export interface Sum {
  readonly name: string;
  readonly calls: number;
  readonly unpriced: number;
  readonly tokens: number;
  readonly spend: Decimal;
}

/** One sum per name that `of` gives. */
export function sums(calls: readonly Call[], of: (call: Call) => string): Sum[] {
  const found = new Map<string, Sum>();
  for (const call of calls) {
    const name = of(call);
    const before = found.get(name) ?? { name, calls: 0, unpriced: 0, tokens: 0, spend: ZERO };
    const spend = decimal(call.spend);
    found.set(name, {
      name,
      calls: before.calls + 1,
      unpriced: before.unpriced + (spend ? 0 : 1),
      tokens: before.tokens + Number(call.total_tokens),
      spend: spend ? add(before.spend, spend) : before.spend,
    });
  }
  return [...found.values()];
}

export function total(parts: readonly Sum[]): Sum {
  return parts.reduce(
    (sum, part) => ({
      name: "",
      calls: sum.calls + part.calls,
      unpriced: sum.unpriced + part.unpriced,
      tokens: sum.tokens + part.tokens,
      spend: add(sum.spend, part.spend),
    }),
    { name: "", calls: 0, unpriced: 0, tokens: 0, spend: ZERO },
  );
}

/** The dearest first; among equals, those with more calls. */
export function dearest(parts: readonly Sum[]): Sum[] {
  return [...parts].sort((a, b) => compare(b.spend, a.spend) || b.calls - a.calls || a.name.localeCompare(b.name));
}

/** Every day from `first` to `last` (2026-11-21), those without calls too. */
export function everyDay(parts: readonly Sum[], first: string, last: string): Sum[] {
  const known = new Map(parts.map((part) => [part.name, part]));
  const days: Sum[] = [];
  for (let at = Date.parse(first); at <= Date.parse(last); at += 86_400_000) {
    const name = day(new Date(at));
    days.push(known.get(name) ?? { name, calls: 0, unpriced: 0, tokens: 0, spend: ZERO });
  }
  return days;
}

/** The day in UTC, as the ledger counts days. */
export function day(at: Date): string {
  return at.toISOString().slice(0, 10);
}
