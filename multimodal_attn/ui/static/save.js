// Files to keep, made on the page: no request is sent for them.

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const stem = () => view.complete.media.name.replace(/\.[^.]*$/, "") || "picture";

// The picture with the map that is on it now, and the sentence below.
function figure() {
  const strip = Math.round(canvas.width / 12);
  const sheet = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height + strip });
  const pen = sheet.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.drawImage(part("picture"), 0, 0, canvas.width, canvas.height);
  pen.drawImage(canvas, 0, 0);
  writeSentence(pen, sheet.width, canvas.height + strip / 2, strip * 0.42);
  return sheet;
}

function writeSentence(pen, width, y, size) {
  const options = [...sentence.childNodes].map((child) => [child.textContent, child.dataset?.token]);
  pen.textBaseline = "middle";
  pen.font = `${size}px ${getComputedStyle(sentence).fontFamily}`;
  const length = pen.measureText(sentence.textContent).width;
  const fit = Math.min(1, (0.94 * width) / length);
  pen.setTransform(fit, 0, 0, fit, (width - fit * length) / 2, y);
  let x = 0;
  for (const [text, token] of options) {
    pen.fillStyle = current() === null || Number(token) === current() ? "#1d1b18" : "#a39c90";
    pen.fillText(text, x, 0);
    x += pen.measureText(text).width;
  }
}
