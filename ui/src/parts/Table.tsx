import type { ReactNode } from "react";

export interface Column<T> {
  readonly title: string;
  readonly cell: (item: T) => ReactNode;
  /** Numbers stand at the right. */
  readonly number?: boolean;
  /** Names the row for who hears the table. */
  readonly heads?: boolean;
}

interface Properties<T> {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly items: readonly T[];
  readonly id: (item: T) => string;
  readonly empty: ReactNode;
  /** What stands below a row, over all columns. */
  readonly details?: (item: T) => ReactNode;
}

/**
 * A table with headers; on a narrow screen each row becomes a card (style.css). The roles are said because a style that
 * changes `display` would take them away.
 */
export function Table<T>({ caption, columns, items, id, empty, details }: Properties<T>) {
  if (items.length === 0) return <p className="empty">{empty}</p>;
  return (
    <div className="scroll">
      <table role="table">
        <caption className="unseen">{caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th key={column.title} role="columnheader" scope="col" className={column.number ? "number" : ""}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {items.map((item) => {
            const more = details?.(item);
            return [
              <tr key={id(item)} role="row">
                {columns.map((column) => {
                  const Tag = column.heads ? "th" : "td";
                  return (
                    <Tag
                      key={column.title}
                      role={column.heads ? "rowheader" : "cell"}
                      {...(column.heads ? { scope: "row" } : {})}
                      className={column.number ? "number" : ""}
                      data-title={column.title}
                    >
                      <div>{column.cell(item)}</div>
                    </Tag>
                  );
                })}
              </tr>,
              more && (
                <tr key={`${id(item)} details`} role="row" className="details">
                  <td role="cell" colSpan={columns.length}>
                    {more}
                  </td>
                </tr>
              ),
            ];
          })}
        </tbody>
      </table>
    </div>
  );
}
