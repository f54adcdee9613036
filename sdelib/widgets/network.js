// The small denoiser in workers (book/_static/denoise.worker.js), fetched when it is asked for.

import { clamp } from "./numbers.js";

export const PIXELS = 28 * 28;

async function bytes(url, signal, progress) {
  // a file, with word of how far it has come
  const parts = [];
  try {
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error(answer.status);
    const reader = answer.body.getReader();
    for (
      let next = await reader.read();
      !next.done && !signal.aborted;
      next = await reader.read()
    ) {
      parts.push(next.value);
      progress(next.value.length);
    }
  } catch (error) {
    throw new Error(`${url.pathname} did not come (${error.message})`, { cause: error });
  }
  signal.throwIfAborted();
  return new Blob(parts).arrayBuffer();
}

export async function adapter() {
  // true where the browser lets WebAssembly wait for a graphics card that is not imitated by the processor
  if (!navigator.gpu || !("Suspending" in WebAssembly)) return false;
  try {
    const found = await navigator.gpu.requestAdapter();
    return !!found && !found.info?.isFallbackAdapter;
  } catch {
    return false;
  }
}

// What the promise gives, but no later than the reader's Stop, and no later than two minutes. Those are counted in seconds that the page
// lived: a machine that slept is not to blame.
const PATIENCE = 120;
function inTime(promise, signal, who) {
  let clock, stop;
  return new Promise((done, fail) => {
    let seconds = 0;
    clock = setInterval(() => {
      if (++seconds === PATIENCE) fail(new Error(`${who} gave no answer for ${PATIENCE} seconds`));
    }, 1000);
    stop = () => fail(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    promise.then(done, fail);
  }).finally(() => {
    clearInterval(clock);
    signal.removeEventListener("abort", stop);
  });
}

// A worker, and ask(message) → the promise of its answer. Answers carry the number of their question: after a Stop one may come that nobody
// waits for.
function hire(url, file) {
  const worker = new Worker(url, { type: "module" }),
    open = new Map();
  let last = 0;
  const fail = (error) => {
    open.forEach((question) => question.fail(error));
    open.clear();
  };
  worker.onmessage = ({ data: { id, D, error } }) => {
    const question = open.get(id);
    open.delete(id);
    if (error === undefined) question?.done(D);
    else question?.fail(new Error(error));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(new Error(event.message || `${file} did not start`));
  };
  worker.onmessageerror = () => fail(new Error(`${file} gave an answer that cannot be read`));
  return {
    close: () => worker.terminate(),
    ask: (message) =>
      new Promise((done, fail) => {
        open.set(++last, { done, fail });
        worker.postMessage({ id: last, ...message });
      }),
  };
}

// Workers with the network: { device, workers, denoise(y, σ, labels, signal), silent, close }. On WebGPU there is one, on WebAssembly one for
// each core, up to four, and each takes its share of the images: so no memory is shared, and the server need not send headers for that.
// progress(n): n more bytes came; progress(): all came, and the workers start. silent(): one is asked, and no answer came for ten seconds.
export async function network(spec, device, signal, progress) {
  const at = (file) => new URL(spec.base + file, document.baseURI),
    { runtime, binary } = spec.runtimes[device],
    team = [];
  const [wasm, model] = await Promise.all([
    bytes(at(binary), signal, progress),
    bytes(at(spec.model), signal, progress),
  ]);
  const size = device === "webgpu" ? 1 : clamp(navigator.hardwareConcurrency || 1, 1, 4),
    close = () => team.forEach((worker) => worker.close());
  progress();
  try {
    while (team.length < size) team.push(hire(at(spec.worker), spec.worker));
    await inTime(
      Promise.all(
        team.map((worker) => worker.ask({ device, runtime: at(runtime).href, wasm, model })),
      ),
      signal,
      spec.worker,
    );
  } catch (error) {
    close();
    throw error;
  }
  let open = 0,
    heard = 0;
  return {
    device,
    workers: size,
    close,
    silent: () => open > 0 && performance.now() - heard > 10_000,
    async denoise(y, sigma, labels, signal) {
      const share = Math.ceil(labels.length / size),
        D = new Float64Array(y.length),
        over = () => {
          open--;
          heard = performance.now();
        };
      const all = Promise.all(
        team.map(async (worker, k) => {
          const from = k * share,
            label = labels.slice(from, from + share);
          const x = Float32Array.from(y.subarray(from * PIXELS, (from + share) * PIXELS));
          if (label.length) D.set(await worker.ask({ x, sigma, label }), from * PIXELS);
        }),
      );
      if (!open++) heard = performance.now();
      all.then(over, over);
      await inTime(all, signal, spec.worker);
      return D;
    },
  };
}
