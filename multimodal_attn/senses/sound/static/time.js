// What a sound's trace means along time, in seconds. Every function here is pure.

// [from, to] of a place.
function placeSpan({ start, step }, place) {
  return [start + place * step, start + (place + 1) * step];
}

// "0.4 – 0.6 s"
function spanName([first, last], { start, step }) {
  return `${clock(Math.max(start + first * step, 0), 2)} – ${clock(start + last * step, 2)}\u2009s`;
}

// The place that holds a moment, or null where the model has none.
function placeAtTime({ start, step, n_places: n }, second) {
  const place = Math.floor((second - start) / step);
  return place >= 0 && place < n ? place : null;
}

// (S,) map -> its weights in n equal columns of the whole sound, 0 where no place lies. A column wider than a place takes
// the largest weight in it, so that none is lost between two; a narrower one its own place's, or one between two centres.
function alongTime(map, { seconds, start, step }, n, smooth) {
  const column = seconds / n;
  const at = (place) => map[Math.min(Math.max(place, 0), map.length - 1)];
  const between = (spot) => {
    const low = Math.floor(spot - 0.5), part = spot - 0.5 - low;
    return at(low) * (1 - part) + at(low + 1) * part;
  };
  return Float32Array.from({ length: n }, (_, x) => {
    const spot = ((x + 0.5) * column - start) / step; // counted in places from the first
    if (spot < 0 || spot >= map.length) return 0;
    if (column <= step) return smooth ? between(spot) : at(Math.floor(spot));
    const half = column / step / 2;
    return largest(map.slice(Math.max(Math.floor(spot - half), 0), Math.ceil(spot + half)));
  });
}

// [start, end] of every token, or null where nothing is known. Within a word its tokens follow the peaks of their weights.
function tokenTimes({ tokens, words = [], geometry }, weights) {
  const peak = (token) => placeSpan(geometry, indexOfMost(tokenMap(weights, token)));
  const times = tokens.map((_, token) => (weights.nHeads ? peak(token) : null));
  for (const { first, last, start, end } of words) {
    let from = start;
    for (let token = first; token < last; token++) {
      if (token > first) from = Math.min(Math.max(times[token]?.[0] ?? from, from), end);
      if (token > first) times[token - 1] = [times[token - 1][0], from];
      times[token] = [from, end];
    }
  }
  return times;
}

// The token that is heard at a moment, or null.
function tokenAtTime(times, second) {
  const found = times.findLastIndex((time) => time && time[0] <= second && second < time[1]);
  return found < 0 ? null : found;
}

function wordOf({ words = [] }, token) {
  return words.find(({ first, last }) => first <= token && token < last) ?? null;
}

const NICE = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600];

// Seconds for the marks of an axis, at most n of them.
function ticksOf(seconds, n) {
  const step = NICE.find((nice) => seconds / nice < n) ?? 600;
  return Array.from({ length: Math.floor(seconds / step + 1e-6) + 1 }, (_, i) => Number((i * step).toFixed(1)));
}

// "0.42", or "2:05" from a minute on.
function clock(second, digits = 1) {
  if (second < 60) return second.toFixed(digits);
  return `${Math.floor(second / 60)}:${String(Math.floor(second % 60)).padStart(2, "0")}`;
}
