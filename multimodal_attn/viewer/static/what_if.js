// What if: another word, and the model goes on from there; a part of the input hidden, and it writes the sentence again.
// What changed is marked, the sentence before stands above, and one step back is always there.

const history = () => view.complete?.before ?? null;
const begunWith = (token) => trace().tokens.slice(0, token).map(({ id, text }) => id ?? text);

function again(what, more) {
  if (view.asking) return;
  view.asking = { what, pinned: view.pinned };
  viewer.classList.add("asking");
  ask("again", more);
}

function stopAsking() {
  view.asking = null;
  viewer.classList.remove("asking");
}

async function takeAgain({ id, trace, file }) {
  const { what, pinned } = view.asking ?? { what: "", pinned: null }, before = view.complete;
  const written = trace ?? (await (await fetch(file.url)).json());
  stopAsking();
  showProblem("");
  const { test, ...kept } = before;
  showTrace({ ...kept, id, trace: written, opening: false, before, what });
  change({ pinned: pinned !== null && pinned < written.tokens.length ? pinned : null });
  if (written.text === before.trace.text) say("The sentence stays the same");
}

function goBack() {
  if (history()) showTrace(history());
}

// ---- above the sentence: what it was, and why it is another

function showBefore() {
  const before = history();
  part("before").hidden = !before;
  if (!before) return markChanged([]);
  const kept = keptTokens(before.trace.tokens.map(({ text }) => text), trace().tokens.map(({ text }) => text));
  const was = node("s", before.trace.text || "nothing");
  part("was").replaceChildren(node("b", view.complete.what), " ", ...(trace().text === before.trace.text ? ["changes nothing"] : ["instead of ", was]));
  markChanged(kept);
}

function markChanged(kept) {
  const isAnother = history() !== null;
  sentence.querySelectorAll("[role=option]").forEach((option, i) => {
    option.classList.toggle("changed", isAnother && !kept.some(([, now]) => now === i));
  });
}

// ---- beside: what a word could have been

function showAlternatives() {
  const token = view.pinned, box = part("alternatives");
  const isOpen = token !== null && canAsk() && view.place === null && (view.hovered ?? token) === token;
  box.hidden = !isOpen;
  const shown = isOpen ? `${view.complete.id} ${token}` : "";
  if (!isOpen || box.dataset.shown === shown) return;
  box.dataset.shown = shown;
  const list = node("div", "", { role: "group", "aria-label": "It could have written" });
  list.append(...rankedOf(trace().tokens[token]).map((each) => choiceOf(each, token)));
  part("choices").replaceChildren(list);
  part("write").value = "";
}

// All that the model weighed up there, the chosen one among them, each spelling once.
function rankedOf({ text, probability, alternatives }) {
  const all = alternatives.some(([other]) => other === text) ? alternatives : [...alternatives, [text, probability]];
  const ranked = all.filter(([other], i) => all.findIndex(([one]) => nameOf(one).name === nameOf(other).name) === i || other === text);
  return ranked.map(([other, share]) => ({ text: other, share, isChosen: other === text })).sort((a, b) => b.share - a.share);
}

function choiceOf({ text, share, isChosen }, token) {
  const { name, isMark } = nameOf(text);
  const button = node("button", "", { type: "button", "aria-pressed": isChosen, class: isMark ? "mark" : "" });
  button.append(node("span", name), node("span", percent(share)));
  button.style.setProperty("--length", share);
  button.addEventListener("click", () => {
    if (!isChosen) again(`${nameOf(trace().tokens[token].text).name} → ${name}:`, { begin: [...begunWith(token), text] });
  });
  return button;
}

// The first piece of the word that a token belongs to: what is typed replaces all of it.
function firstOfWord(token) {
  const { tokens, text } = trace(), { laid } = layTokens(text, tokens);
  while (token > 0 && laid[token].before === "") token--;
  return token;
}

part("write").addEventListener("keydown", (event) => {
  event.stopPropagation(); // arrows and Escape belong to the field
  const written = part("write").value.trim();
  if (event.key !== "Enter" || !written || view.pinned === null) return;
  const first = firstOfWord(view.pinned);
  again(`${nameOf(trace().tokens[view.pinned].text).name} → ${written}:`, { begin: begunWith(first), written });
});
part("undo").addEventListener("click", goBack);

// ---- the best sentences of the search

const PARTS = { decoder: "decoder", ctc: "CTC", lm: "language model", words: "word model" };

function showBest() {
  part("best").hidden = part("brush").hidden = !canAsk() || !trace().tokens.length;
  setBrushing(false);
  part("best").textContent = "Other sentences";
  part("sentences").hidden = true;
}

function takeBest(best) {
  view.complete.best = best;
  part("best").textContent = "Other sentences";
  listBest();
}

function listBest() {
  const { best } = view.complete, list = part("sentences");
  list.hidden = false;
  list.replaceChildren(node("h2", "What the search found, best first"), ...best.map(sentenceOf));
}

function sentenceOf({ trace: found, parts }) {
  const button = node("button", "", { type: "button", "aria-pressed": found.text === trace().text });
  const told = Object.entries(parts).map(([name, sum]) => `${PARTS[name] ?? name} ${sum.toFixed(1)}`).join(", ");
  const words = node("span", "");
  const kept = keptTokens(trace().tokens.map(({ text }) => text), found.tokens.map(({ text }) => text)).map(([, now]) => now);
  const { laid } = layTokens(found.text, found.tokens);
  laid.forEach(({ before, text }, i) => words.append(before, node(kept.includes(i) ? "span" : "u", text)));
  button.append(words, node("small", `${found.score.toFixed(2)} a token: ${told}`));
  button.addEventListener("click", () => {
    if (found.text === trace().text) return (part("sentences").hidden = true);
    const { test, best, ...kept } = view.complete;
    showTrace({ ...kept, id: `${kept.id}-${found.text}`, trace: found, opening: false, before: view.complete, what: "Another of its sentences," });
  });
  return button;
}

part("best").addEventListener("click", () => {
  if (!part("sentences").hidden) return (part("sentences").hidden = true);
  if (view.complete.best) return listBest();
  part("best").textContent = "Searching\u00a0…";
  ask("best", { begin: [] });
});
