import { type Decimal, compare, dollars, share, ZERO } from "../money";

/** A bar from 0 to 1 of its place. */
export function Bar({ part, label, tone = "" }: { part: number; label: string; tone?: string }) {
  return (
    <svg className={`bar ${tone}`} viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect className="track" width="100" height="1" />
      <rect className="filled" width={part * 100} height="1" />
    </svg>
  );
}

export interface Day {
  readonly name: string;
  readonly spend: Decimal;
  readonly unpriced: number;
}

/** Columns by day. The table beside it says the same in numbers. */
export function Columns({ days }: { days: readonly Day[] }) {
  const most = days.reduce((found, day) => (compare(day.spend, found) > 0 ? day.spend : found), ZERO);
  const step = 100 / Math.max(days.length, 7);
  const first = days[0];
  const last = days[days.length - 1];
  if (!first || !last) return null;
  const label = `Spend by day from ${first.name} to ${last.name}, at most ${dollars(most)} a day`;
  return (
    <figure className="columns">
      <figcaption>{most.units > 0n ? `Dearest day: ${dollars(most)}` : "Nothing with a price was spent"}</figcaption>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label={label}>
        {[0, 10, 20, 30].map((y) => (
          <line key={y} className="rule" x1="0" x2="100" y1={y} y2={y} />
        ))}
        {days.map((day, index) => {
          const height = share(day.spend, most) * 39;
          return (
            <g key={day.name}>
              <title>{`${day.name}: ${dollars(day.spend)}${day.unpriced ? `, ${day.unpriced} calls unpriced` : ""}`}</title>
              <rect className="hit" x={index * step} width={step} y="0" height="40" />
              <rect
                className="filled"
                x={index * step + step * 0.14}
                width={step * 0.72}
                y={40 - Math.max(height, day.spend.units > 0n ? 0.6 : 0)}
                height={Math.max(height, day.spend.units > 0n ? 0.6 : 0)}
              />
              {day.unpriced > 0 && (
                <rect className="unpriced" x={index * step + step * 0.14} width={step * 0.72} y="38.8" height="1.2" />
              )}
            </g>
          );
        })}
        <line className="base" x1="0" x2="100" y1="40" y2="40" />
      </svg>
      <div className="ends" aria-hidden="true">
        <span>{first.name}</span>
        {last !== first && <span>{last.name}</span>}
      </div>
    </figure>
  );
}
