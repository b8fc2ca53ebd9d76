/** Exact decimals. Amounts come as text, are added as whole numbers and shown with every digit they have. */

/** `units` × 10^-`scale`. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

export const ZERO: Decimal = { units: 0n, scale: 0 };

const WRITTEN = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Read a number as JSON writes it; null when it is none. */
export function decimal(text: string | null | undefined): Decimal | null {
  const found = WRITTEN.exec(text ?? "");
  if (!found) return null;
  const [, sign, whole = "0", fraction = "", exponent = "0"] = found;
  const scale = fraction.length - Number(exponent);
  const units = BigInt(sign + whole + fraction);
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

export function add(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  return { units: at(left, scale) + at(right, scale), scale };
}

/** Negative, zero or positive, as sorting wants it. */
export function compare(left: Decimal, right: Decimal): number {
  const scale = Math.max(left.scale, right.scale);
  const difference = at(left, scale) - at(right, scale);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** How much of `whole` a part is, 0 to 1 in steps of 1/10000: for drawing only. */
export function share(part: Decimal, whole: Decimal): number {
  const scale = Math.max(part.scale, whole.scale);
  const total = at(whole, scale);
  if (total <= 0n) return at(part, scale) > 0n ? 1 : 0;
  const steps = (at(part, scale) * 10000n) / total;
  return Number(steps < 0n ? 0n : steps > 10000n ? 10000n : steps) / 10000;
}

/** A share in words, cut off after one digit: `0 %`, `under 0.1 %`, `99.9 %`, `443.7 %`. */
export function percent(part: Decimal, whole: Decimal): string {
  const scale = Math.max(part.scale, whole.scale);
  const [of, total] = [at(part, scale), at(whole, scale)];
  if (of <= 0n) return "0 %";
  if (total <= 0n) return "more than 100 %";
  const steps = (of * 1000n) / total;
  if (steps === 0n) return "under 0.1 %";
  return `${grouped((steps / 10n).toString())}${steps % 10n ? `.${steps % 10n}` : ""} %`;
}

/** Dollars with all digits, at least the cents: `$1,234.50`, `$0.000017`. */
export function dollars(amount: Decimal): string {
  const negative = amount.units < 0n;
  const digits = (negative ? -amount.units : amount.units).toString().padStart(amount.scale + 1, "0");
  const cut = digits.length - amount.scale;
  const fraction = digits.slice(cut).replace(/0+$/, "").padEnd(2, "0");
  return `${negative ? "−" : ""}$${grouped(digits.slice(0, cut))}.${fraction}`;
}

/** A whole number with its thousands apart; other text as it is. */
export function grouped(text: string): string {
  return /^\d+$/.test(text) ? text.replace(/\B(?=(\d{3})+$)/g, ",") : text;
}

function at(value: Decimal, scale: number): bigint {
  return value.units * 10n ** BigInt(scale - value.scale);
}
