// The sense of reading: the source with its pieces shaded by the weights of a token, and below it all weights as a table:
// the source across, the translation down. Both sides can be pointed at.

senses.text = {
  ...plain,
  invitation: "Write a sentence and press Enter, or take an example.",
  waiting: "Reading\u00a0…",
  opening: "An example. Each word lights the words that the model looked at as it wrote it, which need not be why. Write a sentence of your own.",
  hint: "Point at a word of the translation to see where the model read, or at the source to see which words read there.",
  sentence: "The translation, token by token",
  nothing: "The model found no words for this text.",
  unit: () => "of the token’s attention, per piece",
  at: (place) => quoted(place),
  spot: (token) => `read at ${quoted(indexOfMost(mapOf(token)))}`,
  facts: (token) => (hasMaps() ? [`read most at ${quoted(indexOfMost(mapOf(token)))}`] : []),
  names: { one: "a token", many: "tokens", whole: "the source" },
  wide: (n) => `reads about ${Number(n.toPrecision(2))} of ${view.weights.nPlaces} pieces`,
  hiding: "Taking out one word after another",
  parts: "words",
  brush: "Click the word that is to be taken out",
  partOf: wordAround,
  told: (places) => `“${wordsAt([Math.min(...places), Math.max(...places) + 1])}”`,
  where: (place, map) => `“${wordsAt(partAround(map, place))}”`,
  crowd: (place) => `Read most at ${quoted(place)}`,
  show: showText,
  draw() {
    drawSource();
    drawAlignment();
  },
  isWhole: ({ text, file }) => typeof text === "string" && !file,
  figure: drawAlignmentOnSheet,
};

const source = part("source"), alignment = part("alignment");

// Python counts code points, JavaScript halves of the rarer ones.
const lettersOf = ({ text }) => Array.from(text);
const pieceAt = (geometry, place) => lettersOf(geometry).slice(...geometry.spans[place]).join("");
const wordsAt = ([first, last]) => {
  const { spans } = trace().geometry;
  return lettersOf(trace().geometry).slice(spans[first][0], spans[last - 1][1]).join("");
};
const quoted = (place) => `“${pieceAt(trace().geometry, place)}”`;

// The bytes of one letter have the same span: the first of them stands for it.
const isRest = (spans, place) => place > 0 && spans[place][0] < spans[place - 1][1];

function showText(media, shown) {
  if (!shown) {
    source.replaceChildren(media.text);
    alignment.replaceChildren();
    return;
  }
  const { spans } = shown.geometry, letters = lettersOf(shown.geometry);
  const pieces = spans.flatMap(([first, last], place) => {
    const before = letters.slice(place ? spans[place - 1][1] : 0, first).join("");
    return [before, node("span", isRest(spans, place) ? "" : letters.slice(first, last).join(""), { "data-place": place })];
  });
  source.replaceChildren(...pieces);
  alignment.replaceChildren(...(isInside() || (hasMaps() && shown.tokens.length) ? tableOf(shown) : []));
}

function tableOf({ tokens, geometry }) {
  const head = node("thead", ""), body = node("tbody", ""), names = node("tr", "");
  const across = geometry.spans.map((_, place) => {
    const name = node("th", "", { "data-place": place });
    name.append(node("span", isRest(geometry.spans, place) ? "" : pieceAt(geometry, place)));
    return name;
  });
  names.append(node("td", ""), ...across);
  head.append(names);
  rowNames(tokens, geometry).forEach((name, row) => {
    const of = isInside() ? { "data-place": row } : { "data-token": row };
    const line = node("tr", "", { "data-row": row });
    line.append(node("th", name, of), ...geometry.spans.map((_, place) => node("td", "", { "data-place": place, ...of })));
    body.append(line);
  });
  return [head, body];
}

// Down: the translation, or the source once more where it looks at itself.
function rowNames(tokens, geometry) {
  if (!isInside()) return tokens.map((token) => nameOf(token.text).name);
  return geometry.spans.map((_, place) => (isRest(geometry.spans, place) ? "" : pieceAt(geometry, place)));
}
const rowMap = (row) => (isInside() ? insideMap(row) : mapOf(row));
const rowMost = (row) => (isInside() ? largest(rowMap(row)) || 1 : mostOf(row));

// The pieces of the word that one belongs to: what touches, letter to letter.
function wordAround(place) {
  const { spans } = trace().geometry, letters = lettersOf(trace().geometry);
  const joins = (i) => i > 0 && i < spans.length && (spans[i][0] === spans[i - 1][0] || (spans[i][0] === spans[i - 1][1] && [letters[spans[i][0] - 1], letters[spans[i][0]]].every((letter) => /[\p{L}\p{N}]/u.test(letter))));
  let first = place, last = place + 1;
  while (joins(first)) first--;
  while (joins(last)) last++;
  return Array.from({ length: last - first }, (_, i) => first + i);
}

function drawSource() {
  const map = shownMap(), most = map ? shownMost(map) : 1;
  for (const piece of source.querySelectorAll("span")) {
    const place = Number(piece.dataset.place);
    piece.style.setProperty("--share", map ? (view.strength * Math.max(map[place], 0)) / most : 0);
    piece.classList.toggle("on", place === view.place);
    piece.classList.toggle("gone", isGone(place));
  }
}

function drawAlignment() {
  for (const name of alignment.querySelectorAll("th[data-place]")) name.classList.toggle("on", Number(name.dataset.place) === view.place);
  for (const line of alignment.querySelectorAll("tr[data-row]")) {
    const row = Number(line.dataset.row), map = rowMap(row), most = rowMost(row);
    line.classList.toggle("on", row === (isInside() ? view.place : current()));
    line.querySelectorAll("td").forEach((cell, place) => {
      cell.style.setProperty("--share", (view.strength * Math.max(map[place], 0)) / most);
    });
  }
}

// ---- pointing: at the source and the names above the table for a place, at a row for a token, at a cell for both

const placeOf = ({ target }) => {
  const place = target.closest?.("[data-place]")?.dataset.place;
  return place === undefined ? null : Number(place);
};
const rowAt = ({ target }) => {
  const token = target.closest?.("[data-token]")?.dataset.token;
  return token === undefined ? null : Number(token);
};

pointAt(source, placeOf);
alignment.addEventListener("pointermove", (event) => {
  if (viewer.dataset.state !== "ready") return;
  const pointed = { place: placeOf(event), hovered: rowAt(event) };
  if (pointed.place !== view.place || pointed.hovered !== view.hovered) change(pointed);
});
alignment.addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "touch") change({ place: null, hovered: null });
});
alignment.addEventListener("click", (event) => {
  const token = rowAt(event);
  if (token !== null) pin(sense().pick(token));
});

// ---- the figure: the table in ink, with both sentences on its axes, so that it prints

function drawAlignmentOnSheet() {
  const { tokens, geometry } = trace(), cell = 44, font = getComputedStyle(sentence).fontFamily;
  const across = geometry.spans.map((_, place) => (isRest(geometry.spans, place) ? "" : pieceAt(geometry, place)));
  const down = hasMaps() || isInside() ? rowNames(tokens, geometry) : [];
  const { pen: ruler } = blankSheet(1, 1);
  ruler.font = `22px ${font}`;
  const widest = (names) => names.reduce((most, name) => Math.max(most, ruler.measureText(name).width), 0) + 24;
  const left = widest(down), top = widest(across);
  const width = Math.max(left + across.length * cell, 600) + 40;
  const { sheet, pen } = blankSheet(width, top + down.length * cell + 120);
  pen.font = `22px ${font}`;
  pen.textBaseline = "middle";
  down.forEach((name, row) => {
    pen.fillStyle = "#1d1b18";
    pen.textAlign = "right";
    pen.fillText(name, left + 8, top + (row + 0.5) * cell + 20);
    const map = rowMap(row), most = rowMost(row);
    map.forEach((weight, place) => {
      pen.fillStyle = `rgb(27 27 31 / ${weight / most})`;
      pen.fillRect(left + 20 + place * cell, top + row * cell + 20, cell - 1, cell - 1);
    });
  });
  pen.fillStyle = "#1d1b18";
  pen.textAlign = "left";
  across.forEach((name, place) => {
    pen.setTransform(0, -1, 1, 0, left + 20 + (place + 0.5) * cell, top + 8);
    pen.fillText(name, 0, 0);
  });
  pen.resetTransform();
  writeSentence(pen, sheet.width, top + down.length * cell + 75, 34);
  return sheet;
}
