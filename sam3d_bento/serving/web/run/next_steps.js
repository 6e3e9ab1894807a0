// What may be tried after a result: another seed, or the shape that the engine nearly chose.

import { byId } from "../common/dom.js";
import { text, textOr } from "../common/texts.js";

/**
 * Offer what helps with this result. report: the service's; null to offer nothing. run(changes): make the model of the same
 * photo again, with these options changed; "" leaves a value to the service.
 */
export function offerNextSteps(report, run) {
  const again = byId("again");
  again.hidden = !report?.engine_facts?.seeded;
  again.onclick = () => run({ seed: "" });
  const near = report?.details?.near?.shape;
  const suggestion = byId("suggestion");
  suggestion.hidden = !near;
  if (near) suggestion.textContent = textOr(`order.try.${near}`, text("order.try", { shape: near }));
  suggestion.onclick = () => run({ shape: near });
  byId("next-steps").hidden = again.hidden && suggestion.hidden;
}
