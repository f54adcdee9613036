// One worker of the sampler: D(x; σ, label) of its share of the images, by ONNX Runtime. The page is sdelib/widgets/sampler.js.
// It is told { id, device, runtime, wasm, model } once, then { id, x, sigma, label } again and again, and answers { id, D } or { id, error }.
let ort,
  session,
  turn = Promise.resolve();

async function load({ device, runtime, wasm, model }) {
  ort = await import(runtime);
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm });
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(new Uint8Array(model), {
    executionProviders: [device],
    logSeverityLevel: 3,
  });
  await evaluate({ x: new Float32Array(28 * 28), sigma: 1, label: [-1] }); // what fails, fails now; shaders are compiled
}

async function evaluate({ x, sigma, label }) {
  const n = label.length,
    tensor = (type, data, shape = [n]) => new ort.Tensor(type, data, shape);
  const { D } = await session.run({
    x: tensor("float32", x, [n, 1, 28, 28]),
    sigma: tensor("float32", new Float32Array(n).fill(sigma)),
    label: tensor("int32", Int32Array.from(label)),
  });
  return D.data.slice();
}

async function answer({ id, ...data }) {
  try {
    postMessage({ id, D: data.runtime ? await load(data) : await evaluate(data) });
  } catch (error) {
    postMessage({ id, error: String(error?.message || error) });
  }
}

onmessage = ({ data }) => {
  turn = turn.then(() => answer(data));
}; // one after the other: a session does not like two runs at a time
