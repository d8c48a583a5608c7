// Looked | Needed: beside where a word looked, what it could not have been written without. The page asks for it once a
// sentence is there; a saved page has what was measured before.

const MARKS_OF = { looked: "●", elsewhere: "◐", nothing: "○" };

const canAsk = () => typeof trigger === "function" && Boolean(view.complete?.asks);

// What else is asked of the model, about the sentence that is shown.
function ask(want, more = {}) {
  const { id, asks } = view.complete, { hidden = [] } = trace().origin.options ?? {};
  trigger("ask", { want, of: id, ...asks, begin: begunWith(Infinity), written: "", hidden, ...more });
}

// An answer to a question; one about what is no longer shown is late.
function takeAnswer(payload) {
  if (payload.of !== view.complete?.id) return;
  if (payload.problem) return refuse(payload);
  if (payload.done !== undefined) showMeasuring(payload.done);
  if (payload.testing !== undefined) part("test").textContent = `Testing\u00a0… ${percent(payload.testing)}`;
  if (payload.needed) takeNeeded(payload.needed);
  if (payload.test) takeTest(payload.test);
  if (payload.best) takeBest(payload.best);
  if (payload.trace || payload.file) takeAgain(payload);
}

// Of what nobody has asked for by hand, beside the switch; else above all.
function refuse({ problem, want }) {
  if (want === "needed") {
    showMeasuring(null);
    part("layer-told").textContent = problem;
  } else {
    stopAsking();
    part("test").textContent = "Test the map";
    part("best").textContent = "Other sentences";
    showProblem(problem);
  }
}

function takeNeeded(needed) {
  trace().needed = needed; // so that it is saved with the rest
  view.needed = decodeHalves(needed);
  showNeeds();
  draw();
  say(toldOf(needed.tokens));
}

// ---- the switch above the stage

function showNeeds() {
  const { needed } = trace();
  view.needed = needed ? decodeHalves(needed) : null;
  part("layers").hidden = !hasMaps() || !trace().tokens.length || !(needed || canAsk());
  part("needed").disabled = !needed;
  if (!needed) view.layer = "looked";
  part(view.layer).checked = true;
  part("layer-told").replaceChildren(...(needed ? countsOf(needed.tokens) : []));
  part("test").hidden = !needed || !canAsk();
  part("test").textContent = "Test the map";
  showTest();
  sentence.querySelectorAll("[role=option]").forEach((option, i) => {
    option.dataset.need = needed?.tokens[i] ?? "";
  });
  if (!needed && canAsk() && trace().tokens.length && hasMaps()) {
    showMeasuring(0);
    ask("needed");
  } else showMeasuring(null);
}

function showMeasuring(share) {
  part("layers").style.setProperty("--done", share ?? 0);
  part("layers").classList.toggle("measuring", share !== null);
  if (share !== null) part("layer-told").textContent = `${sense().hiding}\u00a0… ${percent(share)}`;
  else if (!trace().needed) part("layer-told").textContent = "";
}

const countOf = (marks, mark) => marks.filter((each) => each === mark).length;
const MEANING = { looked: "needed where they looked", elsewhere: "needed another place", nothing: "needed no one place" };

function countsOf(marks) {
  return Object.entries(MEANING).map(([mark, meaning]) => {
    const told = node("span", "", { title: WHY[mark] });
    told.append(node("i", MARKS_OF[mark], { "aria-hidden": "true" }), ` ${countOf(marks, mark)} ${meaning}`);
    return told;
  });
}

const WHY = {
  looked: "Hiding that place, or one beside it, costs the word most of what it loses",
  elsewhere: "Hiding the place where it looked costs the word less than hiding another",
  nothing: "Whatever one place is hidden, the word keeps nine tenths of its probability",
};
const toldOf = (marks) => Object.entries(MEANING).map(([mark, meaning]) => `${countOf(marks, mark)} ${meaning}`).join(", ");

// ---- the map of what is needed

const neededMap = (token) => view.needed.values.subarray(token * view.needed.shape[1], (token + 1) * view.needed.shape[1]);

// "needs row 3, column 4, where it looked: 62 % → 21 % without it"
function needOf(token) {
  if (!view.needed) return [];
  const map = neededMap(token), place = indexOfMost(map), { probability } = trace().tokens[token];
  const loses = `${percent(probability)} → ${percent(Math.max(probability - map[place], 0))} without ${sense().where(place, map)}`;
  const told = { looked: "Needed where it looked", elsewhere: "Needed another place", nothing: "Would have been written anyway" };
  return [`${MARKS_OF[trace().needed.tokens[token]]} ${told[trace().needed.tokens[token]]}: ${loses}`];
}

// The places of the same part, that is with the same number, around one: [first, last + 1].
function partAround(map, place) {
  let first = place, last = place + 1;
  while (first > 0 && map[first - 1] === map[place]) first--;
  while (last < map.length && map[last] === map[place]) last++;
  return [first, last];
}

// ---- the test: its own map against others

const BY = {
  own: "where the word looked",
  others: "where the other words looked",
  middle: "the middle",
  random: "places at random",
};

function takeTest(test) {
  view.complete.test = test;
  showTest(true);
}

function showTest(isAsked = false) {
  const { test } = view.complete, card = part("card");
  card.hidden = !test || !isAsked;
  if (!test) return;
  const lines = [["", `without ${test.n_parts}`, `with ${test.n_parts} alone`]];
  for (const [by, name] of Object.entries(BY)) lines.push([name, `−${percent(Math.max(test.deletion[by], 0))}`, percent(Math.max(test.insertion[by], 0))]);
  const table = node("table", "");
  table.append(node("caption", `What the words keep of their probability when ${test.n_parts} ${sense().parts} are hidden, or all others are`));
  lines.forEach((cells, row) => {
    const line = node("tr", "");
    line.append(...cells.map((text, column) => node(row && column ? "td" : "th", text, { scope: row ? "row" : "col" })));
    table.append(line);
  });
  const { own, others } = test.deletion;
  const verdict = own > 1.1 * others ? "Each word needs its own places more than the others’." : "The places of the other words would do as well.";
  card.replaceChildren(table, node("p", verdict), node("button", "Close", { type: "button", "data-part": "close-card" }));
  card.querySelector("button").addEventListener("click", () => (card.hidden = true));
  part("test").textContent = "Test the map";
}

for (const choice of [part("looked"), part("needed")]) {
  choice.name = `${element.id}-layer`;
  choice.addEventListener("change", () => {
    view.drawn = null; // the rows of a sound are of the other layer
    change({ layer: part("needed").checked ? "needed" : "looked" });
  });
}
part("test").addEventListener("click", () => {
  if (view.complete.test) return showTest(part("card").hidden);
  part("test").textContent = "Testing\u00a0…";
  ask("test");
});
