// The health of the attention, below the sentence: a shade under each token, as deep as its look is wide, a verdict in
// plain words, and on asking the figures behind it, each with what it means: those of the trace, means over its heads.

// name -> [share 0..1 or null, what it means]
function figuresOf({ evenness, change, coverage, monotonicity }, { one, many, whole }) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    Entropy: [evenness, `How many places share ${one}’s attention: 0\u202f% is a single one, 100\u202f% is all of them alike.`],
    Change: [change.length ? mean(change) : null, `How much of the attention goes elsewhere from ${one} to the next.`],
    Coverage: [coverage, `How much of ${whole} got its fair share, over all ${many} together.`],
    Monotonicity: [monotonicity, `How many of the steps from ${one} to the next do not go back in time.`],
  };
}

// How many places share a token's attention: as many as would have its entropy if each had the same part of it.
// null where nothing was measured, or there is only one place.
function widthOf(token) {
  const nats = view.head === "mean" ? trace().health?.entropy[token] : entropyOf(mapOf(token));
  return nats === undefined || view.weights.nPlaces < 2 ? null : Math.exp(nats);
}

// The same as a share of the input.
const shareOfInput = (token) => Math.min(widthOf(token) / view.weights.nPlaces, 1);

function showHealth() {
  const { health } = trace(), measured = widthOf(0) !== null;
  part("health").hidden = !trace().tokens.length;
  part("figures-box").open = false;
  part("figures-box").hidden = part("key-entropy").hidden = !measured;
  viewer.classList.toggle("measured", measured);
  if (!measured) return;
  const { one, whole } = sense().names, lines = health.warnings.length ? health.warnings : [health.verdict];
  part("verdict").textContent = lines.map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`).join(" ");
  part("figures-box").classList.toggle("ill", health.warnings.length > 0);
  part("key-entropy").title = `The shade: how much of ${whole} shares ${one}’s attention, by its entropy`;
  part("figures").replaceChildren(...Object.entries(figuresOf(health, sense().names)).flatMap(figureRow));
}

function figureRow([name, [share, meaning]]) {
  if (share === null) return [];
  const row = node("div", ""), value = node("dd", percent(share));
  row.append(node("dt", name), value, node("dd", meaning, { class: "meaning" }));
  row.style.setProperty("--length", share);
  return [row];
}

part("figures-box").addEventListener("focusout", ({ relatedTarget }) => {
  if (!part("figures-box").contains(relatedTarget)) part("figures-box").open = false; // a click elsewhere closes it
});
