// Colours of weights and of loudness. Every function here is pure.

// Of the map: a night-blue veil where the model did not look, warm light where it looked most.
const RAMP = [
  { at: 0, colour: [14, 13, 42, 0.7] },
  { at: 0.4, colour: [126, 38, 58, 0.48] },
  { at: 0.75, colour: [242, 128, 44, 0.38] },
  { at: 1, colour: [255, 214, 96, 0.5] },
];
// The same with nothing to shine through, for weights that lie over no picture.
const OPAQUE = RAMP.map(({ at, colour: [red, green, blue] }) => ({ at, colour: at ? [red, green, blue, 1] : [24, 22, 38, 1] }));
// Of loudness: one hue, so that the map over it keeps its own.
const LOUDNESS = [
  { at: 0, colour: [24, 22, 38, 1] },
  { at: 0.3, colour: [62, 58, 92, 1] },
  { at: 0.65, colour: [160, 152, 180, 1] },
  { at: 1, colour: [255, 250, 240, 1] },
];

// share 0..1 -> [red, green, blue, alpha], alpha in 0..1.
function colourAt(stops, share) {
  const upper = stops.findIndex(({ at }) => share <= at);
  const [low, high] = upper < 1 ? [stops[0], stops[0]] : [stops[upper - 1], stops[upper]];
  const part = high === low ? 0 : (share - low.at) / (high.at - low.at);
  return low.colour.map((value, i) => value + part * (high.colour[i] - value));
}

// share 0..1 of the token's largest weight, strength 0..1 -> [red, green, blue, alpha].
function rampColour(share, strength) {
  const [red, green, blue, alpha] = colourAt(RAMP, share);
  return [red, green, blue, Math.round(255 * alpha * strength) / 255]; // as exact as a picture can hold
}

function rampGradient(strength) {
  const stops = Array.from({ length: 11 }, (_, i) => {
    const [red, green, blue, alpha] = rampColour(i / 10, strength);
    return `rgb(${red} ${green} ${blue} / ${alpha})`;
  });
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}

// Weights, any number -> their RGBA bytes, `most` and above in the warmest colour.
function mapPixels(map, strength, most = largest(map) || 1) {
  return pixelsOf(map, (weight) => rampColour(Math.min(Math.max(weight / most, 0), 1), strength));
}

// Values -> RGBA bytes by a function of one value.
function pixelsOf(values, colour) {
  const pixels = new Uint8ClampedArray(4 * values.length);
  values.forEach((value, i) => {
    const [red, green, blue, alpha] = colour(value);
    pixels.set([red, green, blue, 255 * alpha], 4 * i);
  });
  return pixels;
}

// A canvas of its own with these RGBA bytes, to be drawn at any size.
function pixelsToCanvas(pixels, width, height) {
  const made = Object.assign(document.createElement("canvas"), { width, height });
  made.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return made;
}
