// What all senses draw alike: the shaded words, the legend, the text beside.

function draw() {
  if (viewer.dataset.state !== "ready") return;
  sense().draw();
  drawWords();
  drawLegend();
  part("detail").replaceChildren(...detail());
  showAlternatives();
}

function drawWords() {
  sentence.querySelectorAll("[role=option]").forEach((option, i) => {
    option.setAttribute("aria-selected", i === current());
    option.classList.toggle("pinned", i === view.pinned);
    option.style.setProperty("--share", view.place === null ? 0 : shareAt(i, view.place));
    option.style.setProperty("--width", shareOfInput(i));
  });
  if (view.pinned === null) sentence.removeAttribute("aria-activedescendant");
  else sentence.setAttribute("aria-activedescendant", `${element.id}-${view.pinned}`);
}

// How bright a place is on a token's map, 0..1: the word is shaded as its map would be.
function shareAt(token, place) {
  const map = mapOf(token);
  return Math.max(map[place] / mostOf(token), 0);
}

function drawLegend() {
  const map = shownMap();
  part("legend").classList.toggle("idle", !map);
  part("ramp").style.backgroundImage = rampGradient(view.strength);
  part("most").textContent = map ? percent(shownMost(map)) : "most";
  part("unit").textContent = isInside() ? "of the place’s self-attention, per place" : view.layer === "needed" ? "less probable without it" : sense().unit(trace().geometry);
}

// ---- words

function nothing() {
  return trace().note ? `There is nothing to read here: the ${view.complete.media.kind} is ${trace().note}.` : sense().nothing;
}

function noMaps() {
  return `This model has no attention: it takes ${sense().names.whole} in as a whole, so there is no map to show.`;
}

function detail() {
  const { tokens } = trace();
  if (!tokens.length) return [node("p", nothing())];
  if (isInside() && view.place !== null) return insideDetail(view.place);
  if (view.place !== null && view.hovered === null) return placeDetail(tokens, view.place);
  if (current() !== null) return tokenDetail(tokens[current()], factsOn(current()));
  return [node("p", hasMaps() ? sense().hint : noMaps())];
}

function factsOn(token) {
  const elsewhere = hasMaps() && view.layer === "looked" ? shareElsewhere(mapOf(token)) : 0; // half floats sum to 1 within less than 0.02
  const away = `${percent(elsewhere)} of the attention is not on the ${view.complete.media.kind}`;
  const width = widthOf(token), wide = width === null ? [] : [sense().wide(width)];
  return [...sense().facts(token), ...wide, ...(elsewhere > 0.02 ? [away] : []), ...needOf(token)];
}

function tokenDetail({ text, probability, alternatives }, facts) {
  const others = alternatives.filter(([other]) => other !== text).slice(0, 4);
  const heading = [node("h3", nameOf(text).name), node("p", `${percent(probability)} sure`), ...facts.map((fact) => node("p", fact))];
  return others.length && !(canAsk() && view.pinned === current()) ? [...heading, node("h4", "Rather than"), bars(others)] : heading;
}

function placeDetail(tokens, place) {
  const shares = tokens.map(({ text }, token) => [text, mapOf(token)[place]]);
  return [node("h4", view.layer === "needed" ? "Needed this most" : sense().crowd(place)), bars(shares.sort((a, b) => b[1] - a[1]).slice(0, 6), shares[0][1])];
}

function insideDetail(place) {
  const { geometry } = trace(), at = (each) => sense().at(each, geometry);
  const shares = Array.from(insideMap(place), (share, each) => [at(each), share]).sort((a, b) => b[1] - a[1]);
  return [node("h4", `Inside the encoder ${at(place)} looks at`), bars(shares.slice(0, 6), shares[0][1])];
}

// A list of [word, share] with a bar each; the longest bar is `most`.
function bars(pairs, most = 1) {
  const list = node("ul", "");
  for (const [text, share] of pairs) {
    const row = node("li", "");
    const { name, isMark } = nameOf(text);
    row.append(node("span", name, isMark ? { class: "mark" } : {}), node("span", percent(share)));
    row.style.setProperty("--length", share / (most || 1));
    list.append(row);
  }
  return list;
}

function say(text) {
  part("spoken").textContent = text;
}

function sayToken(token) {
  const { text, probability } = trace().tokens[token];
  const spot = hasMaps() ? sense().spot(token) : "";
  say([`${nameOf(text).name}, ${percent(probability)} sure`, ...(spot ? [spot] : []), ...needOf(token)].join("; "));
}
