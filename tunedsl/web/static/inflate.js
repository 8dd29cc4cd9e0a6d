// RFC 1951, of a gzip member without optional fields, at once: the browser's own answers later, too late for paper.
export function inflated(bytes) {
  const size = new DataView(bytes.buffer).getUint32(bytes.length - 4, true), out = new Uint8Array(size);
  let place = 10, held = 0, left = 0, end = 0;
  function bits(count) {
    while (left < count) { held |= bytes[place++] << left; left += 8; }
    const found = held & ((1 << count) - 1);
    held >>>= count;
    left -= count;
    return found;
  }
  function codes(lengths) {
    const counts = new Uint16Array(16), starts = new Uint16Array(17), symbols = new Uint16Array(lengths.length);
    for (const length of lengths) if (length) counts[length]++;
    for (let length = 1; length < 16; length++) starts[length + 1] = starts[length] + counts[length];
    lengths.forEach((length, symbol) => { if (length) symbols[starts[length]++] = symbol; });
    return { counts, symbols };
  }
  function symbol({ counts, symbols }) {
    let code = 0, first = 0, index = 0;
    for (let length = 1; ; length++) {
      code |= bits(1);
      if (code - counts[length] < first) return symbols[index + code - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      code <<= 1;
    }
  }
  function described() {
    const literals = bits(5) + 257, distances = bits(5) + 1, own = new Array(19).fill(0), lengths = [];
    const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    for (let at = 0, count = bits(4) + 4; at < count; at++) own[order[at]] = bits(3);
    const code = codes(own);
    while (lengths.length < literals + distances) {
      const found = symbol(code);
      if (found < 16) lengths.push(found);
      else {
        const [value, times] = found === 16 ? [lengths.at(-1), 3 + bits(2)] : [0, found === 17 ? 3 + bits(3) : 11 + bits(7)];
        for (let time = 0; time < times; time++) lengths.push(value);
      }
    }
    return [codes(lengths.slice(0, literals)), codes(lengths.slice(literals))];
  }
  function fixed() {
    const length = (at) => (at < 144 ? 8 : at < 256 ? 9 : at < 280 ? 7 : 8);
    return [codes(Array.from({ length: 288 }, (_, at) => length(at))), codes(new Array(30).fill(5))];
  }
  for (let last = 0; !last; ) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      held = left = 0;
      const length = bytes[place] | (bytes[place + 1] << 8);
      out.set(bytes.subarray(place + 4, place + 4 + length), end);
      place += 4 + length;
      end += length;
      continue;
    }
    const [literals, distances] = kind === 1 ? fixed() : described();
    for (let found = symbol(literals); found !== 256; found = symbol(literals)) {
      if (found < 256) { out[end++] = found; continue; }
      const step = found - 257, more = step < 8 || step === 28 ? 0 : (step >> 2) - 1;
      const length = step === 28 ? 258 : (step < 8 ? step : (4 + (step & 3)) << more) + 3 + bits(more);
      const far = symbol(distances), extra = far < 4 ? 0 : (far >> 1) - 1;
      const distance = (far < 4 ? far : (2 + (far & 1)) << extra) + 1 + bits(extra);
      for (let time = 0; time < length; time++, end++) out[end] = out[end - distance];
    }
  }
  return out;
}
