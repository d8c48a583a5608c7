// What a trace means, without a page: weights, and words. Every function here is pure.
// Names follow the Python side: T tokens, N heads, S places.

function halfToFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// {shape: [T, N, S], data: little-endian half floats in base64} -> the same numbers, readable.
// Float16Array would do it in one line, but is younger than many browsers.
function decodeWeights(encoded) {
  const { shape: [nTokens, nHeads, nPlaces], values } = decodeHalves(encoded);
  return { nTokens, nHeads, nPlaces, values };
}

// {shape, data} of any shape.
function decodeHalves({ shape, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return { shape, values: Float32Array.from({ length: bytes.length / 2 }, (_, i) => halfToFloat(view.getUint16(2 * i, true))) };
}

// (S,) map of one token: one head, or the mean over all of them.
function tokenMap({ nHeads, nPlaces, values }, token, head = "mean") {
  const row = (n) => values.subarray((token * nHeads + n) * nPlaces, (token * nHeads + n + 1) * nPlaces);
  if (head !== "mean") return row(head);
  const mean = new Float32Array(nPlaces);
  for (let n = 0; n < nHeads; n++) row(n).forEach((weight, place) => (mean[place] += weight / nHeads));
  return mean;
}

// The maps of an encoder's self-attention, one object for each piece of the input: {first, heads, size, values (H, S, S)}.
function decodeLooks(looks = []) {
  return looks.map(({ first, heads, weights }) => ({ first, heads, size: weights.shape[2], values: decodeWeights(weights).values }));
}

// (S,) where one place looks: map number `map`, or the mean of all.
function placeMap(looks, place, nPlaces, map) {
  const found = new Float32Array(nPlaces);
  const look = looks.find(({ first, size }) => place >= first && place < first + size);
  if (!look) return found;
  const { first, heads, size, values } = look;
  const chosen = map === "mean" ? heads.map((_, n) => n) : [map];
  for (const n of chosen) {
    const start = (n * size + place - first) * size;
    values.subarray(start, start + size).forEach((weight, i) => (found[first + i] += weight / chosen.length));
  }
  return found;
}

// How much of a token's look was at none of the places: a sentinel's share, or what local and monotonic attention leave.
function shareElsewhere(map) {
  return 1 - map.reduce((sum, weight) => sum + weight, 0);
}

// Nats, whatever the weights sum to.
function entropyOf(map) {
  const sum = map.reduce((all, weight) => all + weight, 0) || 1;
  return map.reduce((nats, weight) => nats - (weight ? (weight / sum) * Math.log(weight / sum) : 0), 0);
}

function indexOfMost(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

// Not Math.max(...values): a sound may have more places than a call may have arguments.
function largest(values) {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

// The places of the smallest area that holds half of what a map holds.
function halfOf(map) {
  const order = Array.from(map.keys()).sort((a, b) => map[b] - map[a]), inside = new Set();
  let left = map.reduce((sum, value) => sum + Math.max(value, 0), 0) / 2;
  for (const place of order) {
    if (left <= 0 || map[place] <= 0) break;
    inside.add(place);
    left -= map[place];
  }
  return inside;
}

// A token without the mark that begins a word in vocabularies of word pieces.
function spelled(text) {
  return text.replaceAll("\u2581", " ").trim();
}

// What a token is called in a list: those that are no text by names a person understands, the mark of the end above all.
const MARKS = { "<end>": "end of sentence", "<unk>": "unknown word", "": "space" };

function nameOf(text) {
  const word = spelled(text);
  return { name: MARKS[word] ?? word, isMark: word in MARKS };
}

// Small letters where there is one for one: of a dotted capital I there are two, and places would shift.
function lowered(text) {
  return Array.from(text, (letter) => (letter.toLowerCase().length === letter.length ? letter.toLowerCase() : letter)).join("");
}

// How the tokens lie in the sentence: [{before, text}] and what follows the last one. A word piece has nothing before
// it. A token that the sentence does not hold (a marker, say) is shown by its own name.
function layTokens(sentence, tokens) {
  const lower = lowered(sentence);
  let end = 0;
  const laid = tokens.map(({ text }) => {
    const word = spelled(text) || " ";
    const start = lower.indexOf(lowered(word), end);
    const before = sentence.slice(end, start);
    if (start < 0 || /[\p{L}\p{N}]/u.test(before)) return { before: " ", text: spelled(text) };
    end = start + word.length;
    return { before, text: sentence.slice(start, end) };
  });
  return { laid, after: sentence.slice(end) };
}

// Two significant digits, with a thin space before the sign.
function percent(share) {
  const value = 100 * share;
  return `${value > 0 && value < 0.1 ? "< 0.1" : Number(value.toPrecision(2))}\u2009%`;
}

// The tokens that two sentences share in order: [index in the one, index in the other] of the longest common part.
function keptTokens(before, now) {
  const length = Array.from({ length: before.length + 1 }, () => new Uint16Array(now.length + 1));
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      length[i][j] = before[i] === now[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const kept = [];
  for (let i = 0, j = 0; i < before.length && j < now.length; ) {
    if (before[i] === now[j]) kept.push([i++, j++]);
    else if (length[i + 1][j] >= length[i][j + 1]) i++;
    else j++;
  }
  return kept;
}
