// SPDX-License-Identifier: Apache-2.0
// The peer: ONNX Runtime on the CPU, through its package for node.
//   node peer.mjs run PACKAGE_FOLDER FOLDER NAME THREADS SECONDS [OUTPUT_FOLDER]
//     one line: median ms, fastest ms, runs, ms to make the session, peak resident KB, version
//   node peer.mjs compare FOLDER_A FOLDER_B
//     one line: the largest |a - b| / (1 + |b|) over all .npy files that lie in FOLDER_B
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';

const ELEMENTS = {
  '<f4': [Float32Array, 'float32'],
  '<i8': [BigInt64Array, 'int64'],
};

function readNpy(file) {
  const bytes = fs.readFileSync(file);
  const headerBytes = bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, 10 + headerBytes);
  const [Array_, type] = ELEMENTS[/'descr': '([^']*)'/.exec(header)[1]];
  const dims = /'shape': \(([^)]*)\)/.exec(header)[1].split(',').filter((d) => d.trim()).map(Number);
  return { data: new Array_(new Uint8Array(bytes.subarray(10 + headerBytes)).buffer), type, dims };
}

function writeNpy(file, tensor) {
  const descr = Object.keys(ELEMENTS).find((d) => ELEMENTS[d][1] === tensor.type);
  const shape = tensor.dims.join(', ') + (tensor.dims.length === 1 ? ',' : '');
  let header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length, 8);
  const { data } = tensor;
  fs.writeFileSync(file, Buffer.concat([head, Buffer.from(header, 'latin1'),
    Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

const now = () => Number(process.hrtime.bigint()) / 1e6;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function readFeeds(ort, folder, name) {
  const feeds = {};
  for (const line of fs.readFileSync(`${folder}/${name}.txt`, 'utf8').split('\n')) {
    const [word, input, file] = line.split(' ');
    if (word !== 'input') continue;
    const { type, data, dims } = readNpy(file);
    feeds[input] = new ort.Tensor(type, data, dims);
  }
  return feeds;
}

// Times of runs after two to warm up, in ms.
async function timeRuns(session, feeds, seconds) {
  const times = [];
  await session.run(feeds);
  await session.run(feeds);
  const end = now() + seconds * 1e3;
  while (times.length < 5 || (now() < end && times.length < 2000)) {
    const start = now();
    await session.run(feeds);
    times.push(now() - start);
  }
  return times;
}

// The package copies outputs into new memory for each run, which takes longer than the work where
// they are large. The library's own profiler measures a run without that.
async function timeInside(ort, model, options, feeds, seconds) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peer-'));
  const session = await ort.InferenceSession.create(model, {
    ...options, enableProfiling: true, profileFilePrefix: `${folder}/run`,
  });
  const times = await timeRuns(session, feeds, seconds);
  session.endProfiling();
  const events = JSON.parse(fs.readFileSync(path.join(folder, fs.readdirSync(folder)[0]), 'utf8'));
  fs.rmSync(folder, { recursive: true });
  return events.filter((e) => e.name === 'model_run').slice(-times.length).map((e) => e.dur / 1e3);
}

async function run(packageFolder, folder, name, threads, seconds, outputFolder) {
  const require = createRequire(path.resolve(packageFolder) + '/');
  const ort = require('onnxruntime-node');
  const { version } = require('onnxruntime-node/package.json');
  const model = `${folder}/${name}.onnx`;
  const options = {
    executionProviders: ['cpu'],
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  };
  const begin = now();
  const session = await ort.InferenceSession.create(model, options);
  const createMs = now() - begin;
  const feeds = readFeeds(ort, folder, name);
  const results = Object.entries(await session.run(feeds));
  const peakKb = process.resourceUsage().maxRSS; // before runs pile up what node has not collected
  for (const [output, tensor] of outputFolder ? results : []) {
    writeNpy(`${outputFolder}/${output}.npy`, tensor);
  }
  const outputBytes = results.reduce((sum, [, tensor]) => sum + tensor.data.byteLength, 0);
  let times = await timeRuns(session, feeds, Number(seconds));
  if (outputBytes > 1 << 20) {
    await session.release();
    const inside = await timeInside(ort, model, options, feeds, Number(seconds));
    if (median(inside) < median(times)) times = inside;
  }
  console.log(median(times).toFixed(4), Math.min(...times).toFixed(4), times.length,
    createMs.toFixed(1), peakKb, version);
}

function compare(folderA, folderB) {
  let worst = 0;
  for (const file of fs.readdirSync(folderB).filter((f) => f.endsWith('.npy'))) {
    const a = readNpy(path.join(folderA, file));
    const b = readNpy(path.join(folderB, file));
    if (a.type !== b.type || `${a.dims}` !== `${b.dims}`) throw new Error(`${file}: other shape`);
    for (let i = 0; i < b.data.length; i++) {
      const error = Math.abs(Number(a.data[i]) - Number(b.data[i])) / (1 + Math.abs(Number(b.data[i])));
      if (!(error <= worst)) worst = error; // a NaN stays
    }
  }
  console.log(worst.toExponential(1));
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'run') await run(...rest);
else if (mode === 'compare') compare(...rest);
else process.exit(2);
