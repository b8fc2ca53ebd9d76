import { loadModels, loadReadiness, loadWorkers } from "../data";
import { useLive } from "../live";
import { grouped } from "../money";
import { Fact, Loaded, Panel } from "../parts/Panel";

const MEANS: Record<string, string> = {
  redis: "limits and budgets hold by each worker's share; blocked keys are those last known",
  postgresql: "known keys go on for an hour; rows of calls wait in the journal",
  policy: "the rules that were read last go on",
};

export function Health() {
  const readiness = useLive(loadReadiness, 5_000);
  const models = useLive(loadModels, 15_000);
  const workers = useLive(loadWorkers, 60_000);
  const deployments = models.value ?? [];
  const served = deployments.filter((item) => item.model_info.routeiq?.served !== false).length;
  const open = deployments.filter((item) => item.model_info.routeiq?.breaker === "open").length;

  return (
    <Panel title="Health" note="Of the worker that answers; it knows what is away for all of them.">
      <Loaded live={readiness}>
        {(found) => {
          const degraded = found.degraded ?? [];
          const ready = found.status === "ready";
          return (
            <>
              <dl className="facts">
                <Fact name="Gateway" tone={ready ? "good" : "bad"}>
                  {found.status}
                </Fact>
                <Fact name="Degraded services" tone={degraded.length ? "warn" : "good"}>
                  {degraded.length ? degraded.join(", ") : "none"}
                </Fact>
                <Fact name="Egress" tone={found.egress?.mode === "open" ? "warn" : "good"}>
                  {found.egress?.mode ?? "unknown"}
                </Fact>
                <Fact name="Refused dials" tone={found.egress && found.egress.refused !== "0" ? "warn" : "plain"}>
                  {grouped(found.egress?.refused ?? "0")}
                </Fact>
                {workers.value !== null && <Fact name="Workers">{grouped(workers.value)}</Fact>}
                {models.value && (
                  <Fact name="Deployments served" tone={served < deployments.length ? "warn" : "plain"}>
                    {served} of {deployments.length}
                  </Fact>
                )}
                {open > 0 && (
                  <Fact name="Breakers open" tone="bad">
                    {open}
                  </Fact>
                )}
              </dl>
              {degraded.length > 0 && (
                <ul className="means">
                  {degraded.map((name) => (
                    <li key={name}>
                      <strong>{name}</strong>: degraded{MEANS[name] ? `; ${MEANS[name]}` : ""}.
                    </li>
                  ))}
                </ul>
              )}
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}
