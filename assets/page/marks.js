// The marks of labels on a map: drawn by a pen, or stamped pixel by pixel into a buffer, which is fast enough for 50,000 points.
const dark = matchMedia("(prefers-color-scheme: dark)");
const markColour = ({ colour }) => (dark.matches && colour === "#3c3c3c" ? "#d0d0d0" : colour);

function traceMark(pen, shape, at, r) {
  pen.beginPath();
  if (shape === "disc") pen.arc(at, at, r, 0, 7);
  else if (shape === "square") pen.rect(at - 0.88 * r, at - 0.88 * r, 1.76 * r, 1.76 * r);
  else if (shape === "diamond") [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]].forEach(([dx, dy]) => pen.lineTo(at + dx * r, at + dy * r));
  else [[0, -1.25], [1.15, 0.85], [-1.15, 0.85]].forEach(([dx, dy]) => pen.lineTo(at + dx * r, at + dy * r));
  pen.closePath();
}

function paintMark(pen, look, at, r, rim) {
  traceMark(pen, look.shape, at, r);
  pen.fillStyle = markColour(look);
  pen.fill();
  if (!rim) return;
  pen.lineWidth = rim.width;
  pen.strokeStyle = rim.colour;
  pen.stroke();
}

// A colour as a pixel of a buffer: bytes from red to alpha, the first the lowest.
const pixelOf = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
const pixelOfHex = (colour) => pixelOf(...[1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));

// The pixels that a mark covers, as offsets in a buffer with rows of `stride` pixels.
function stampOf(look, r, rim, stride) {
  const side = 2 * Math.ceil(1.3 * r + 3) + 1;
  const middle = side >> 1;
  const sheet = make("canvas");
  sheet.width = sheet.height = side;
  const pen = sheet.getContext("2d", { willReadFrequently: true });
  paintMark(pen, look, side / 2, r, rim);
  const { data: bytes } = pen.getImageData(0, 0, side, side);
  const covered = [];
  for (let at = 0; at < side * side; at += 1) if (bytes[4 * at + 3] > 24) covered.push(at);
  return {
    at: Int32Array.from(covered, (at) => (Math.floor(at / side) - middle) * stride + (at % side) - middle),
    colour: Uint32Array.from(covered, (at) => pixelOf(bytes[4 * at], bytes[4 * at + 1], bytes[4 * at + 2])),
    alpha: Uint8Array.from(covered, (at) => bytes[4 * at + 3]),
  };
}

const blend = (under, over, alpha) => {
  const channel = (shift) => (((over >> shift) & 255) * alpha + ((under >> shift) & 255) * (255 - alpha)) / 255;
  return pixelOf(channel(0), channel(8), channel(16));
};

// Stamps a mark into the buffer, with its middle at the pixel `place`.
function stamp(buffer, { at, colour, alpha }, place) {
  for (let i = 0; i < at.length; i += 1) {
    const pixel = place + at[i];
    buffer[pixel] = alpha[i] > 240 ? colour[i] : blend(buffer[pixel], colour[i], alpha[i]);
  }
}
