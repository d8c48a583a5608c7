// What a trace means, without a page: decoding, geometry, colours and words. Every function here is pure.
// Names follow the Python side: T tokens, N heads, S places; places count row by row from the top left.

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
function decodeWeights({ shape, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const values = Float32Array.from({ length: bytes.length / 2 }, (_, i) => halfToFloat(view.getUint16(2 * i, true)));
  const [nTokens, nHeads, nPlaces] = shape;
  return { nTokens, nHeads, nPlaces, values };
}

// (S,) map of one token: one head, or the mean over all of them.
function tokenMap({ nHeads, nPlaces, values }, token, head = "mean") {
  const row = (n) => values.subarray((token * nHeads + n) * nPlaces, (token * nHeads + n + 1) * nPlaces);
  if (head !== "mean") return row(head);
  const mean = new Float32Array(nPlaces);
  for (let n = 0; n < nHeads; n++) row(n).forEach((weight, place) => (mean[place] += weight / nHeads));
  return mean;
}

// The map with each edge cell once more around it: (rows + 2) x (cols + 2), so that smoothing has something to lean on.
function padMap(map, rows, cols) {
  const inside = (i, n) => Math.min(Math.max(i - 1, 0), n - 1);
  const at = (i) => inside(Math.floor(i / (cols + 2)), rows) * cols + inside(i % (cols + 2), cols);
  return Float32Array.from({ length: (rows + 2) * (cols + 2) }, (_, i) => map[at(i)]);
}

function indexOfMost(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

// Cell of a place as [left, top, right, bottom] in pixels of the original picture.
function cellBox({ box, rows, cols }, place) {
  const [left, top, right, bottom] = box;
  const width = (right - left) / cols, height = (bottom - top) / rows;
  const x = left + (place % cols) * width, y = top + Math.floor(place / cols) * height;
  return [x, y, x + width, y + height];
}

// The place that holds a pixel position, or null where the model has no cell.
function placeAt({ box, rows, cols }, x, y) {
  const [left, top, right, bottom] = box;
  const col = Math.floor(((x - left) / (right - left)) * cols);
  const row = Math.floor(((y - top) / (bottom - top)) * rows);
  return col >= 0 && col < cols && row >= 0 && row < rows ? row * cols + col : null;
}

// Colours of the map: a night-blue veil where the model did not look, warm light where it looked most.
const RAMP = [
  { at: 0, colour: [14, 13, 42, 0.7] },
  { at: 0.4, colour: [126, 38, 58, 0.48] },
  { at: 0.75, colour: [242, 128, 44, 0.38] },
  { at: 1, colour: [255, 214, 96, 0.5] },
];

// share 0..1 of the token's largest weight, strength 0..1 -> [red, green, blue, alpha], alpha in 0..1.
function rampColour(share, strength) {
  const upper = RAMP.findIndex(({ at }) => share <= at);
  const [low, high] = upper < 1 ? [RAMP[0], RAMP[0]] : [RAMP[upper - 1], RAMP[upper]];
  const part = high === low ? 0 : (share - low.at) / (high.at - low.at);
  const [red, green, blue, alpha] = low.colour.map((value, i) => value + part * (high.colour[i] - value));
  return [red, green, blue, Math.round(255 * alpha * strength) / 255]; // as exact as a picture can hold
}

function rampGradient(strength) {
  const stops = Array.from({ length: 11 }, (_, i) => {
    const [red, green, blue, alpha] = rampColour(i / 10, strength);
    return `rgb(${red} ${green} ${blue} / ${alpha})`;
  });
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}

// (S,) map -> RGBA bytes of a rows x cols picture.
function mapPixels(map, strength) {
  const most = Math.max(...map) || 1;
  const pixels = new Uint8ClampedArray(4 * map.length);
  map.forEach((weight, place) => {
    const [red, green, blue, alpha] = rampColour(weight / most, strength);
    pixels.set([red, green, blue, 255 * alpha], 4 * place);
  });
  return pixels;
}

// How the tokens lie in the sentence: [{before, text}] and what follows the last one. A word piece has nothing before
// it. A token that the sentence does not hold (a marker, say) is shown by its own name.
function layTokens(sentence, tokens) {
  const lower = sentence.toLowerCase();
  let end = 0;
  const laid = tokens.map(({ text }) => {
    const word = text.trim();
    const start = lower.indexOf(word.toLowerCase(), end);
    const before = sentence.slice(end, start);
    if (start < 0 || /[\p{L}\p{N}]/u.test(before)) return { before: " ", text };
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
