// The page of a run: a generator that runs in the browser, and what one can do with it.
// `about` says what the generator takes. A point of its latents is a seed, or the numbers themselves.

const $ = id => document.getElementById(id);
const about = JSON.parse($("about").textContent);
const [height, width, channels] = about.shape;
const size = about.latents.reduce((sum, part) => sum + part.size, 0);
const normal = about.latents.flatMap(part => Array(part.size).fill(part.distribution === "N(0, 1)"));
const translates = about.source !== null;

const TILES = 7;        // of the map, along each side
const SAMPLES = 12;     // of the strip
const STARTS = 4;       // of a search
const ITERATIONS = 150; // of a search
const RATE = 0.1;       // of Adam
const PRIOR = 0.02;     // weight of the mean square of normal latents, in a search
const WIDEST = 1.3;     // truncation at most

// --- Loading ------------------------------------------------------------------------------------

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("warn", wrong);
}

// What the page holds itself, as base64 of gzip, or what lies beside it.
async function load(name) {
  const held = $(`asset:${name}`);
  if (!held) {
    if (location.protocol === "file:")
      throw new Error("this folder needs a web server, such as python -m http.server; without --folder, jaxgan explore writes one file");
    const answer = await fetch(name);
    if (!answer.ok) throw new Error(`${name} is not beside the page (${answer.status})`);
    return new Uint8Array(await answer.arrayBuffer());
  }
  const packed = Uint8Array.from(atob(held.textContent), letter => letter.charCodeAt(0));
  held.remove();
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

let ort;
const sessions = {};

async function start() {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function")
    throw new Error("this browser is too old: it needs WebAssembly and DecompressionStream");
  say("Loading the runtime …");
  const code = new Blob([await load("ort.wasm.bundle.min.mjs")], {type: "text/javascript"});
  ort = await import(URL.createObjectURL(code));
  ort.env.wasm.wasmBinary = (await load("ort-wasm-simd-threaded.wasm")).buffer;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  for (const name of about.models) {
    say(`Loading the generator (${name}) …`);
    sessions[name] = await ort.InferenceSession.create(await load(`${name}.onnx`));
  }
  say("");
}

// --- Latents ------------------------------------------------------------------------------------

// Numbers from 0 to 1, the same in all browsers (mulberry32).
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function latentsOf(point) {
  if (typeof point !== "number") return point;
  const next = randomNumbers(point), drawn = new Float32Array(size);
  let at = 0;
  for (const part of about.latents)
    for (let i = 0; i < part.size; i++)
      drawn[at++] = part.distribution === "U(-1, 1)" ? 2 * next() - 1
        : Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return drawn;
}

// Along the great circle where latents are normal, along the line where they are uniform.
function between(a, b, share) {
  const made = new Float32Array(size);
  let start = 0;
  for (const part of about.latents) {
    const end = start + part.size;
    let [left, right] = [1 - share, share];
    if (part.distribution === "N(0, 1)") {
      let [aa, bb, ab] = [0, 0, 0];
      for (let i = start; i < end; i++) { aa += a[i] * a[i]; bb += b[i] * b[i]; ab += a[i] * b[i]; }
      const angle = Math.acos(Math.min(1, Math.max(-1, ab / Math.sqrt(aa * bb || 1))));
      if (Math.sin(angle) > 1e-3)
        [left, right] = [(1 - share) * angle, share * angle].map(x => Math.sin(x) / Math.sin(angle));
    }
    for (let i = start; i < end; i++) made[i] = left * a[i] + right * b[i];
    start = end;
  }
  return made;
}

function onMap(x, y) {
  const [a, b, c, d] = state.corners.map(latentsOf);
  return between(between(a, b, x), between(c, d, x), y);
}

// --- The state, and the link that keeps it --------------------------------------------------------

const fresh = () => ({
  point: 1,                                // a seed, or latents
  place: null,                             // on the map, [x, y] from 0 to 1; then not `point`
  corners: [1, 2, 3, 4],                   // of the map: points
  moves: about.directions.map(() => 0),    // along directions
  classes: [0, 0, 0],                      // a class, another, and the share of the other
  truncation: 1,
  other: 2, layer: about.layers,           // whose styles a layer has from this one on
});
let state = fresh();
const past = [];                           // links, to go back to

const coded = point => typeof point === "number" ? `${point}` : "z" +
  btoa(String.fromCharCode(...new Uint8Array(point.buffer))).replace(/\+/g, "-").replace(/\//g, "_");

function decoded(text) {
  if (!text.startsWith("z")) return seedOf(text);
  const letters = atob(text.slice(1).replace(/-/g, "+").replace(/_/g, "/"));
  const numbers = new Float32Array(Uint8Array.from(letters, x => x.charCodeAt(0)).buffer);
  if (numbers.length !== size || !numbers.every(Number.isFinite)) throw new Error("other latents");
  return numbers;
}

const seedOf = text => Math.min(4294967295, Math.max(0, Math.trunc(Number(text)) || 0));

function link() {
  const first = fresh(), words = new URLSearchParams();
  words.set("point", coded(state.point));
  if (state.place) words.set("place", state.place.map(x => x.toFixed(3)).join());
  if (state.corners.some((x, i) => x !== first.corners[i])) words.set("corners", state.corners.map(coded).join());
  for (const name of ["moves", "classes"])
    if (state[name].some(x => x)) words.set(name, state[name].join());
  for (const name of ["truncation", "other", "layer"])
    if (state[name] !== first[name]) words.set(name, state[name]);
  return "#" + words;
}

function follow(hash) {
  const words = new URLSearchParams(hash.slice(1)), found = fresh();
  const numbers = (name, count, low, high) => {
    const given = words.get(name)?.split(",").map(Number);
    const valid = given?.length === count && given.every(Number.isFinite);
    return valid ? given.map(x => Math.min(high, Math.max(low, x))) : null;
  };
  say("");
  try {
    if (words.has("point")) found.point = decoded(words.get("point"));
    const corners = words.get("corners")?.split(",").map(decoded);
    if (corners?.length === 4) found.corners = corners;
  } catch { say("This link is damaged, or belongs to another generator.", true); }
  found.place = numbers("place", 2, 0, 1);
  found.moves = numbers("moves", found.moves.length, -4, 4) ?? found.moves;
  const [a, b, share] = numbers("classes", 3, 0, about.classes - 1) ?? found.classes;
  found.classes = [Math.trunc(a), Math.trunc(b), Math.min(1, share)];
  found.truncation = numbers("truncation", 1, 0, WIDEST)?.[0] ?? found.truncation;
  found.layer = Math.trunc(numbers("layer", 1, 0, about.layers)?.[0] ?? found.layer);
  if (words.has("other")) found.other = seedOf(words.get("other"));
  state = found;
}

// --- Computing: one thing at a time, the picture before the map -----------------------------------

const waiting = new Map();
let working = false;

function ask(name, job) {
  waiting.set(name, job);
  if (!working) work();
}

async function work() {
  working = true;
  document.body.setAttribute("aria-busy", true);
  while (waiting.size) {
    const name = waiting.has("picture") ? "picture" : waiting.keys().next().value;
    const job = waiting.get(name);
    waiting.delete(name);
    try { await job(); } catch (error) { say(`Error: ${error.message ?? error}`, true); }
    await new Promise(resolve => setTimeout(resolve));
  }
  working = false;
  document.body.setAttribute("aria-busy", false);
}

const tensor = (numbers, ...shape) => new ort.Tensor("float32", numbers, shape);
const joined = rows => rows.length === 1 ? rows[0] : Float32Array.from(rows.flatMap(row => [...row]));

// What G sees besides latents and pictures, for a batch.
function conditions(count, truncation = state.truncation) {
  const feeds = {}, repeat = row => joined(Array(count).fill(row));
  if (about.classes) {
    const weights = new Float32Array(about.classes), [a, b, share] = state.classes;
    weights[a] += 1 - share;
    weights[b] += share;
    feeds.classes = tensor(repeat(weights), count, about.classes);
  }
  if (about.truncation) feeds.truncation = tensor(Float32Array.of(truncation));
  if (about.layers) {
    const taken = Float32Array.from({length: about.layers}, (_, i) => i >= state.layer ? 1 : 0);
    feeds.others = tensor(repeat(latentsOf(state.other)), count, size);
    feeds.taken = tensor(repeat(taken), count, about.layers);
  }
  return feeds;
}

function moved(latents) {
  const made = Float32Array.from(latents), shrink = about.truncation ? 1 : state.truncation;
  state.moves.forEach((amount, k) => {
    if (amount) about.directions[k].vector.forEach((x, i) => { made[i] += amount * x; });
  });
  return made.map((x, i) => normal[i] ? x * shrink : Math.min(1, Math.max(-1, x * shrink)));
}

async function draw(rows, feeds = conditions(rows.length), model = sessions.draw) {
  const latents = size ? {latents: tensor(joined(rows), rows.length, size)} : {};
  const {samples} = await model.run({...latents, ...feeds});
  return rows.map((_, i) => samples.data.subarray(i * height * width * channels, (i + 1) * height * width * channels));
}

function toImage(numbers, shape = about.shape) {
  const [rows, columns, depth] = shape, [low, high] = about.range;
  const image = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++)
    for (let k = 0; k < 4; k++)
      image.data[4 * i + k] = k === 3 ? 255
        : Math.round((numbers[depth * i + Math.min(k, depth - 1)] - low) / (high - low) * 255);
  return image;
}

function fromCanvas(canvas, depth) {
  const [low, high] = about.range;
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const made = new Float32Array(depth * data.length / 4);
  for (let i = 0; i < data.length / 4; i++)
    for (let k = 0; k < depth; k++) {
      const value = depth === 3 ? data[4 * i + k] : (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3;
      made[depth * i + k] = low + value / 255 * (high - low);
    }
  return made;
}

function show(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// --- What can be done -----------------------------------------------------------------------------

const base = () => state.place ? onMap(...state.place) : latentsOf(state.point);

function refresh() {
  endSearch();
  ask("picture", async () => {
    const from = performance.now();
    const [numbers] = await draw([moved(base())]);
    $("picture").dataset.milliseconds = (performance.now() - from).toFixed(1);
    show($("picture"), toImage(numbers));
    const seed = typeof state.point === "number" ? `Sample of seed ${state.point}` : "Found by search";
    $("caption").textContent = state.place ? "A point of the map" : seed;
  });
}

function redraw(...parts) {
  refresh();
  for (const part of parts) part?.();
}

function keep() {  // after a change that one may want to go back from
  const now = link();
  if (past.at(-1) !== now) past.push(now);
  history.replaceState(null, "", now);
  $("back").disabled = past.length < 2;
}

function choose(point) {
  state.point = point;
  state.place = null;
  if (typeof point === "number") $("seed").value = point;
  $("marker").hidden = true;
  refresh();
  keep();
}

const panels = {};  // functions that draw a panel again, by its name

function makeStrip() {
  let first = 1;
  const strip = $("strip");
  const buttons = Array.from({length: SAMPLES}, () => {
    const button = document.createElement("button");
    button.append(document.createElement("canvas"));
    button.addEventListener("click", () => choose(Number(button.value)));
    strip.append(button);
    return button;
  });
  panels.strip = () => {
    buttons.forEach((button, i) => {
      button.value = first + i;
      button.setAttribute("aria-label", `Sample of seed ${first + i}`);
    });
    ask("strip", async () => {
      const made = await draw(buttons.map(button => moved(latentsOf(Number(button.value)))));
      made.forEach((numbers, i) => show(buttons[i].firstChild, toImage(numbers)));
    });
  };
  $("more").addEventListener("click", () => { first += SAMPLES; panels.strip(); });
}

function makeMap() {
  const map = $("map"), canvas = $("tiles");
  function mark() {
    const place = state.place;
    $("marker").hidden = !place;
    if (place) [$("marker").style.left, $("marker").style.top] = place.map(x => `${100 * x}%`);
  }
  function go(x, y) {
    state.place = [x, y].map(value => Math.min(1, Math.max(0, value)));
    mark();
    refresh();
  }
  function drag(event) {
    const box = map.getBoundingClientRect();
    go((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }
  map.addEventListener("pointerdown", event => { map.setPointerCapture(event.pointerId); drag(event); });
  map.addEventListener("pointermove", event => { if (event.buttons) drag(event); });
  map.addEventListener("lostpointercapture", keep);
  map.addEventListener("keydown", event => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = state.place ?? [0.5, 0.5];
    go(x + 0.02 * step[0], y + 0.02 * step[1]);
    keep();
  });
  document.querySelectorAll(".corner").forEach((button, i) => {
    button.addEventListener("click", () => {
      const point = state.place ? base() : state.point;
      state.corners[i] = point;
      choose(point);
      panels.map();
    });
  });
  let newest = 0;
  panels.map = () => {
    mark();
    const own = ++newest;
    [canvas.width, canvas.height] = [TILES * width, TILES * height];
    const row = y => ask("map", async () => {  // a row at a time, so that nothing else waits long
      const points = Array.from({length: TILES}, (_, x) => moved(onMap((x + 0.5) / TILES, (y + 0.5) / TILES)));
      (await draw(points)).forEach((numbers, x) =>
        canvas.getContext("2d").putImageData(toImage(numbers), x * width, y * height));
      if (own === newest && y + 1 < TILES) row(y + 1);
    });
    row(0);
    ask("corners", async () => {
      const made = await draw(state.corners.map(point => moved(latentsOf(point))));
      document.querySelectorAll(".corner canvas").forEach((each, i) => show(each, toImage(made[i])));
    });
  };
}

// A slider with its value beside it; `set` takes the number.
function slider(parent, name, {min, max, step}, value, set) {
  const label = document.createElement("label"), input = document.createElement("input");
  const output = document.createElement("output"), text = document.createElement("span");
  text.textContent = name;
  Object.assign(input, {type: "range", min, max, step, ariaLabel: name});
  const tell = () => { output.textContent = input.value; };
  input.addEventListener("input", () => { tell(); set(Number(input.value)); });
  input.addEventListener("change", () => { keep(); panels.strip?.(); panels.map?.(); });
  label.append(text, input, output);
  parent.append(label);
  const put = number => { input.value = number; tell(); };
  put(value);
  return put;
}

const sliders = [];  // of functions that show what the state says

function makeDirections() {
  about.directions.forEach((direction, k) => {
    const put = slider($("directions"), direction.name, {min: -direction.reach, max: direction.reach, step: 0.05}, 0, amount => {
      state.moves[k] = amount;
      refresh();
    });
    sliders.push(() => put(state.moves[k]));
  });
  $("reset").addEventListener("click", () => {
    state.moves = fresh().moves;
    restore();
    keep();
  });
}

function makeClasses() {
  const selects = (about.mixes ? ["class", "mixed"] : ["class"]).map($);
  selects.forEach((select, place) => {
    for (let k = 0; k < about.classes; k++) select.add(new Option(`Class ${k}`, k));
    select.addEventListener("change", () => {
      state.classes[place] = Number(select.value);
      redraw(panels.strip, panels.map);
      keep();
    });
    sliders.push(() => { select.value = state.classes[place]; });
  });
  if (!about.mixes) return;
  const put = slider($("mix"), "Mixture", {min: 0, max: 1, step: 0.01}, 0, share => {
    state.classes[2] = share;
    refresh();
  });
  sliders.push(() => put(state.classes[2]));
}

function makeTruncation() {
  const put = slider($("truncation"), "Truncation", {min: 0, max: WIDEST, step: 0.01}, 1, value => {
    state.truncation = value;
    refresh();
  });
  sliders.push(() => put(state.truncation));
}

function makeStyles() {
  const other = $("other");
  other.addEventListener("change", () => {
    state.other = seedOf(other.value);
    redraw(panels.strip, panels.map);
    keep();
  });
  const put = slider($("styles"), "From layer", {min: 0, max: about.layers, step: 1}, about.layers, layer => {
    state.layer = layer;
    refresh();
  });
  sliders.push(() => { other.value = state.other; put(state.layer); });
}

// --- Painting -------------------------------------------------------------------------------------

// Lets one paint on a canvas of few pixels with pointer, touch or keys; `dab` colors a pixel.
function paintable(canvas, dab, done) {
  let last = null;
  function stroke(x, y) {
    const [fromX, fromY] = last ?? [x, y], radius = Number($("brush").value) / 2;
    const steps = Math.ceil(Math.hypot(x - fromX, y - fromY) * 2) + 1;
    for (let k = 1; k <= steps; k++) {
      const [centerX, centerY] = [fromX + (x - fromX) * k / steps, fromY + (y - fromY) * k / steps];
      for (let j = 0; j < canvas.height; j++)
        for (let i = 0; i < canvas.width; i++)
          if (Math.hypot(i + 0.5 - centerX, j + 0.5 - centerY) <= radius) dab(i, j);
    }
    last = [x, y];
  }
  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
  }
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(...at(event));
  });
  canvas.addEventListener("pointermove", event => { if (event.buttons) stroke(...at(event)); });
  canvas.addEventListener("lostpointercapture", () => { last = null; done(); });
  let cursor = null;
  canvas.addEventListener("keydown", event => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    cursor ??= [canvas.width / 2, canvas.height / 2];
    if (step) cursor = [cursor[0] + step[0], cursor[1] + step[1]];
    last = null;
    if (event.key === " " || event.shiftKey) { stroke(...cursor); done(); }
    const word = event.key === " " || event.shiftKey ? "painted" : "at";
    say(`Brush ${word} row ${Math.floor(cursor[1])}, column ${Math.floor(cursor[0])}: space paints, Shift and arrows draw.`);
  });
}

function pixel(canvas, i, j, color) {
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  context.fillRect(i, j, 1, 1);
}

let search = null;  // the one that runs, if any

function endSearch() {
  if (!search) return;
  search = null;
  $("find").textContent = "Find latents";
  say("");
}

// Latents whose picture agrees with what is painted: Adam from several starts.
function makeSearch() {
  const canvas = $("painting"), hidden = new Set(), painted = new Set();
  function copy() {
    hidden.clear();
    painted.clear();
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").drawImage($("picture"), 0, 0);
  }
  $("copy").addEventListener("click", copy);
  paintable(canvas, (i, j) => {
    const place = j * width + i, hides = $("tool").value === "hide";
    (hides ? hidden : painted).add(place);
    (hides ? painted : hidden).delete(place);
    pixel(canvas, i, j, hides ? "#c2518b" : {light: "#fff", dark: "#000"}[$("tool").value] ?? $("color").value);
  }, () => {});
  $("find").addEventListener("click", () => {
    if (!search) return begin();
    const {best} = search;
    endSearch();
    if (best) take(best);
  });

  function take(point) {  // makes what was found the current point
    Object.assign(state, {truncation: 1, moves: fresh().moves});
    choose(point);
    restore();
  }

  function begin() {
    const target = fromCanvas(canvas, channels), own = conditions(STARTS, 1);
    const weight = Float32Array.from({length: width * height}, (_, i) => hidden.has(i) ? 0 : painted.has(i) ? 1 : 0.2);
    const all = row => joined(Array(STARTS).fill(row));
    const feeds = {...own,
      target: tensor(all(target), STARTS, height, width, channels),
      weight: tensor(all(weight), STARTS, height, width, 1)};
    const starts = Array.from({length: STARTS}, (_, k) => k ? latentsOf(seedOf(2 ** 31 * Math.random())) : moved(base()));
    const points = joined(starts), drift = new Float32Array(points.length), spread = new Float32Array(points.length);
    const far = numbers => numbers.reduce((sum, x, i) => sum + weight[Math.floor(i / channels)] * (x - target[i]) ** 2, 0);

    async function rank() {  // latents and pictures, the nearest first
      const rows = Array.from({length: STARTS}, (_, k) => points.slice(k * size, (k + 1) * size));
      const made = await draw(rows, own);
      const order = made.map((x, k) => [far(x), k]).sort((a, b) => a[0] - b[0]);
      return order.map(([, k]) => [rows[k], made[k]]);
    }

    async function improve(step) {
      const {samples: gradient} = await sessions.search.run({...feeds, latents: tensor(points, STARTS, size)});
      points.forEach((x, i) => {
        const slope = gradient.data[i] + (normal[i % size] ? 2 * PRIOR * x / size : 0);
        drift[i] = 0.9 * drift[i] + 0.1 * slope;
        spread[i] = 0.999 * spread[i] + 0.001 * slope * slope;
        const change = drift[i] / (1 - 0.9 ** step) / (Math.sqrt(spread[i] / (1 - 0.999 ** step)) + 1e-8);
        points[i] = normal[i % size] ? x - RATE * change : Math.min(1, Math.max(-1, x - RATE * change));
      });
    }

    const run = search = {best: null};
    $("find").textContent = "Stop";
    const go = step => ask("search", async () => {  // a few steps at a time, so that nothing else waits long
      if (search !== run) return;
      for (let k = 0; k < 5; k++) await improve(step + k);
      const found = await rank();
      if (search !== run) return;
      run.best = found[0][0];
      show($("picture"), toImage(found[0][1]));
      say(`Searching: ${Math.round(100 * (step + 4) / ITERATIONS)}%`);
      list(found);
      if (step + 5 <= ITERATIONS) return go(step + 5);
      endSearch();
      take(run.best);
    });
    go(1);
  }

  function list(found) {
    $("found").replaceChildren(...found.map(([point, numbers], k) => {
      const button = document.createElement("button"), small = document.createElement("canvas");
      show(small, toImage(numbers));
      button.setAttribute("aria-label", `Found picture ${k + 1}`);
      button.append(small);
      button.addEventListener("click", () => take(point));
      return button;
    }));
  }
  ask("copy", async () => copy());
}

// Pictures from pictures: what is drawn, dropped or chosen is turned.
async function makeSource() {
  const canvas = $("source"), [rows, columns, depth] = about.source;
  const turn = () => ask("picture", async () => {
    const from = performance.now();
    const feeds = {...conditions(1), source: tensor(fromCanvas(canvas, depth), 1, rows, columns, depth)};
    const [numbers] = await draw([size ? moved(base()) : null], feeds, sessions[$("way")?.value ?? "draw"]);
    $("picture").dataset.milliseconds = (performance.now() - from).toFixed(1);
    show($("picture"), toImage(numbers));
  });
  function clear() {
    [canvas.width, canvas.height] = [columns, rows];
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, columns, rows);
    return context;
  }
  function put(image) {
    const context = clear(), scale = Math.max(columns / image.width, rows / image.height);
    const [wide, high] = [scale * image.width, scale * image.height];
    context.imageSmoothingQuality = "high";
    context.drawImage(image, (columns - wide) / 2, (rows - high) / 2, wide, high);
    turn();
  }
  async function open(file) {
    try { put(await createImageBitmap(file)); } catch { say(`This browser cannot read ${file.name} as a picture.`, true); }
  }
  paintable(canvas, (i, j) => pixel(canvas, i, j, {light: "#fff", dark: "#000"}[$("tool").value] ?? $("color").value), turn);
  $("file").addEventListener("change", event => { if (event.target.files[0]) open(event.target.files[0]); });
  document.addEventListener("dragover", event => event.preventDefault());
  document.addEventListener("drop", event => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  $("way")?.addEventListener("change", turn);
  $("again")?.addEventListener("click", () => ask("again", async () => {  // the result, the other way
    $("way").value = $("way").value === "draw" ? "back" : "draw";
    put($("picture"));
  }));
  $("blank").addEventListener("click", () => { clear(); turn(); });
  const examples = [...document.querySelectorAll("#examples button")];
  examples.forEach(button => button.addEventListener("click", () => put(button.firstElementChild)));
  await examples[0].firstElementChild.decode();
  put(examples[0].firstElementChild);
}

// --- The page -------------------------------------------------------------------------------------

function restore() {  // shows what the state says
  if (typeof state.point === "number" && $("seed")) $("seed").value = state.point;
  for (const put of sliders) put();
  redraw(panels.strip, panels.map);
}

function makeStage() {
  $("save").addEventListener("click", () => $("picture").toBlob(data => {
    const address = URL.createObjectURL(data);
    Object.assign(document.createElement("a"), {href: address, download: `${about.recipe}.png`}).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }));
  if (translates) return;
  const draws = () => choose(seedOf(4294967295 * Math.random()));
  $("new").addEventListener("click", draws);
  $("seed").addEventListener("change", () => choose(seedOf($("seed").value)));
  $("back").addEventListener("click", () => {
    past.pop();
    follow(past.at(-1));
    history.replaceState(null, "", past.at(-1));
    $("back").disabled = past.length < 2;
    restore();
  });
  $("link").addEventListener("click", async () => {
    history.replaceState(null, "", link());
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link is in the clipboard.");
    } catch { say("The address of this page is the link: copy it from there."); }
  });
  document.addEventListener("keydown", event => {
    const writes = event.target.matches("input, select, canvas, [tabindex]");
    if (event.key === "n" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) draws();
  });
  addEventListener("hashchange", () => { follow(location.hash); restore(); keep(); });
}

start().then(async () => {
  makeStage();
  if (translates) await makeSource();
  else {
    follow(location.hash);
    makeStrip();
    makeMap();
    makeDirections();
    if (about.classes) makeClasses();
    makeTruncation();
    if (about.layers) makeStyles();
    restore();
    if (sessions.search) makeSearch();
    keep();
  }
  ask("ready", async () => { document.body.dataset.ready = "yes"; });
}).catch(error => say(`This page cannot run: ${error.message ?? error}`, true));
