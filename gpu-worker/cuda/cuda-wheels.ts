/**
 * The wheels that bring ONNX Runtime's CUDA provider to Linux x64, and what is taken out of each: `onnxruntime-gpu` of
 * the version of onnxruntime-node, and the `nvidia-*` wheels that its metadata names (extras cuda and cudnn, and what
 * these require), in CUDA 13.0, which it was built with: the oldest driver that will do is 580. Without what nothing
 * here loads: TensorRT, Python modules, nvBLAS, the FFTW interface. The CUDA libraries are under NVIDIA's licence.
 */
import type { PinnedWheel } from "../catalog/sources/pip-wheel.ts";

export type CudaWheel = PinnedWheel & {
  /** Of the wheel. */
  bytes: number;
  /** Where the libraries lie in it, with a slash at the end. */
  folder: string;
  /** Name → bytes. */
  libraries: Readonly<Record<string, number>>;
};

/** Of the driver, and the one library that no wheel has. */
export const driverLibrary = "libcuda.so.1";

/** The wheels below are for x86-64 and glibc 2.28; where an interpreter's version matters, for this one. */
const platform = [
  ..."--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64".split(" "),
  ..."--platform manylinux2014_x86_64 --implementation cp --python-version 3.11".split(" "),
  ..."--abi cp311 --abi none".split(" "),
];

export const cudaWheels: readonly CudaWheel[] = [
  {
    requirement: "onnxruntime-gpu==1.30.0",
    sha256: "4fbf0c5d7b5fb99266c2e8a802e3e64af68bdc383e0f3c7349b985f1087eedaa",
    bytes: 246_658_419,
    platform,
    folder: "onnxruntime/capi/",
    libraries: {
      "libonnxruntime.so.1.30.0": 29_062_976,
      "libonnxruntime_providers_cuda.so": 272_049_904,
      "libonnxruntime_providers_shared.so": 14_632,
    },
  },
  {
    requirement: "nvidia-cuda-runtime==13.0.96",
    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    bytes: 2_243_632,
    platform,
    folder: "nvidia/cu13/lib/",
    libraries: {
      "libcudart.so.13": 704_288,
    },
  },
  {
    requirement: "nvidia-cublas==13.1.0.3",
    sha256: "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
    bytes: 423_133_236,
    platform,
    folder: "nvidia/cu13/lib/",
    libraries: {
      "libcublas.so.13": 54_177_976,
      "libcublasLt.so.13": 541_595_600,
    },
  },
  {
    requirement: "nvidia-curand==10.4.0.35",
    sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    bytes: 59_544_258,
    platform,
    folder: "nvidia/cu13/lib/",
    libraries: {
      "libcurand.so.10": 132_698_328,
    },
  },
  {
    requirement: "nvidia-nvjitlink==13.0.88",
    sha256: "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
    bytes: 40_713_933,
    platform,
    folder: "nvidia/cu13/lib/",
    libraries: {
      "libnvJitLink.so.13": 98_806_736,
    },
  },
  {
    requirement: "nvidia-cufft==12.0.0.61",
    sha256: "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    bytes: 214_085_489,
    platform,
    folder: "nvidia/cu13/lib/",
    libraries: {
      "libcufft.so.12": 286_542_352,
    },
  },
  {
    requirement: "nvidia-cuda-nvrtc==13.0.88",
    sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    bytes: 90_215_200,
    platform,
    folder: "nvidia/cu13/lib/",
    libraries: {
      "libnvrtc-builtins.so.13.0": 4_380_616,
      "libnvrtc.so.13": 109_338_064,
    },
  },
  {
    requirement: "nvidia-cudnn-cu13==9.20.0.48",
    sha256: "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
    bytes: 366_173_588,
    platform,
    folder: "nvidia/cudnn/lib/",
    libraries: {
      "libcudnn.so.9": 129_240,
      "libcudnn_adv.so.9": 109_169_104,
      "libcudnn_cnn.so.9": 4_203_904,
      "libcudnn_engines_precompiled.so.9": 245_391_920,
      "libcudnn_engines_runtime_compiled.so.9": 29_386_664,
      "libcudnn_graph.so.9": 4_460_192,
      "libcudnn_heuristic.so.9": 60_822_040,
      "libcudnn_ops.so.9": 39_855_888,
    },
  },
];
