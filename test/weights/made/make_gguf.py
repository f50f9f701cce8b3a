"""
Makes the GGUF files here and what the reference implementation reads from them:

    pip install gguf==0.19.0 && python make_gguf.py [SMOLLM2.gguf]

types.gguf      one tensor of each type that is read, under the type's name; types.f32 has the values of all, one after
                the other, as gguf.quants.dequantize gives them. Blocks are random but for finite scales.
values.gguf     metadata of each type, at an alignment of 64 bytes.
FAMILY.gguf     a tiny decoder of each family, its metadata and tensors changed as convert_hf_to_gguf.py of llama.cpp
                does. expected.json has its config.json, and each tensor's shape and digest before those changes.
smollm2.json    the same of some tensors of the file named on the command line, under transformers' names and with rows
                in transformers' order.
"""

import hashlib, json, pathlib, sys
import numpy as np
from gguf import GGMLQuantizationType as Type, GGUFReader, GGUFWriter, MODEL_ARCH, get_tensor_name_map
from gguf.constants import GGML_QUANT_SIZES, RopeScalingType
from gguf.quants import dequantize, quantize

here = pathlib.Path(__file__).parent
random = np.random.default_rng(7)
rows, columns = 2, 256


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes()).hexdigest()[:16]


def summary(values):
    """Shape and digest."""
    return f"{list(values.shape)} {digest(values)}"


# ---------------------------------------------------------------- types

scale_places = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}


def finite_halves(shape):
    """Of every size and sign, subnormal too."""
    bits = random.integers(0, 1 << 16, shape, dtype=np.uint16)
    return np.where((bits >> 10) & 31 == 31, bits & 0x83FF, bits).astype(np.uint16)


def stored(name):
    if name == "F32":
        return random.standard_normal((rows, columns), dtype=np.float32).view(np.uint8)
    if name in ("F16", "BF16"):
        halves = finite_halves((rows, columns))
        return halves.view(np.uint8)
    elements, size = GGML_QUANT_SIZES[Type[name]]
    blocks = random.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    for place in scale_places[name]:
        blocks[:, place : place + 2] = finite_halves(len(blocks)).reshape(-1, 1).view(np.uint8)
    return blocks.reshape(rows, -1)


def make_types():
    writer = GGUFWriter(here / "types.gguf", "types")
    values = []
    for name in ["F32", "F16", "BF16", *scale_places]:
        data = stored(name)
        writer.add_tensor(name, data, raw_dtype=Type[name])
        values.append(dequantize(data, Type[name]).reshape(rows, columns))
    write(writer)
    np.concatenate(values).astype(np.float32).tofile(here / "types.f32")


# ---------------------------------------------------------------- metadata


def make_values():
    writer = GGUFWriter(here / "values.gguf", "values")
    writer.add_custom_alignment(64)
    for kind, value in {
        "uint8": 200, "int8": -100, "uint16": 60000, "int16": -30000, "uint32": 4000000000, "int32": -2000000000,
        "uint64": 1 << 60, "int64": -5, "float32": 0.1, "float64": 0.1, "bool": True, "string": "Grüße 👋",
    }.items():
        getattr(writer, f"add_{kind}")(f"a.{kind}", value)
    writer.add_array("a.texts", ["", "ab", "東京"])
    writer.add_array("a.numbers", [1, -2, 3])
    writer.add_array("a.floats", [0.5, -0.25])
    writer.add_array("a.flags", [True, False])
    writer.add_array("a.bytes", b"\x01\x02\xff")
    writer.add_tensor("scalars", np.arange(5, dtype=np.float32))
    writer.add_tensor("cube", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    write(writer)


# ---------------------------------------------------------------- tiny decoders

vocabulary, hidden, heads, kv_heads, width, inner, layers = 24, 32, 4, 2, 8, 32, 2
sizes = {
    "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
    "num_attention_heads": heads, "num_key_value_heads": kv_heads, "max_position_embeddings": 128,
    "rms_norm_eps": float(np.float32(1e-6)), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}
llama3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
families = {
    "llama": {**sizes, "model_type": "llama", "architectures": ["LlamaForCausalLM"], "head_dim": width,
              "hidden_act": "silu", "attention_bias": True, "mlp_bias": False, "tie_word_embeddings": False,
              "rope_parameters": llama3},
    "qwen2": {**sizes, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
              "tie_word_embeddings": True, "use_sliding_window": False,
              "rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                                  "original_max_position_embeddings": 32}},
    "qwen3": {**sizes, "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 2 * width,
              "hidden_act": "silu", "attention_bias": False, "tie_word_embeddings": False,
              "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "gemma3": {**sizes, "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "head_dim": width,
               "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True, "sliding_window": 8,
               "query_pre_attn_scalar": width, "layer_types": ["sliding_attention", "full_attention"],
               "attn_logit_softcapping": None, "final_logit_softcapping": None,
               "rope_parameters": {
                   "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
                   "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
}
matrix_types = {"llama": Type.Q4_1, "qwen2": Type.Q4_0, "qwen3": Type.Q5_0, "gemma3": Type.Q5_1}


def shapes(family, config):
    head = config.get("head_dim", width)
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for name, size in {"q": heads, "k": kv_heads, "v": kv_heads}.items():
            yield f"{at}self_attn.{name}_proj.weight", (size * head, hidden)
            if family == "qwen2" or config.get("attention_bias"):
                yield f"{at}self_attn.{name}_proj.bias", (size * head,)
        yield f"{at}self_attn.o_proj.weight", (hidden, heads * head)
        if config.get("attention_bias"):
            yield f"{at}self_attn.o_proj.bias", (hidden,)
        if family in ("qwen3", "gemma3"):
            yield f"{at}self_attn.q_norm.weight", (head,)
            yield f"{at}self_attn.k_norm.weight", (head,)
        for name in ["gate", "up"]:
            yield f"{at}mlp.{name}_proj.weight", (inner, hidden)
        yield f"{at}mlp.down_proj.weight", (hidden, inner)
        norms = ["input_layernorm", "post_attention_layernorm"]
        if family == "gemma3":
            norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        for norm in norms:
            yield f"{at}{norm}.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocabulary, hidden)


def permute(weights, n_head):
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return (weights.reshape(n_head, 2, weights.shape[0] // n_head // 2, *weights.shape[1:])
            .swapaxes(1, 2).reshape(weights.shape))


def changed(family, name, values):
    """LlamaModel.modify_tensors and Gemma3Model.modify_tensors."""
    if family == "llama" and ".q_proj." in name:
        return permute(values, heads)
    if family == "llama" and ".k_proj." in name:
        return permute(values, kv_heads)
    if family == "gemma3" and name.endswith("norm.weight"):
        return values + np.float32(1)
    return values


def rope_factors(rope):
    """LlamaModel.generate_extra_tensors."""
    freqs = np.float32(1.0) / (rope["rope_theta"] ** (np.arange(0, width, 2, dtype=np.float32) / width))
    low, high = 8192 / rope["low_freq_factor"], 8192 / rope["high_freq_factor"]
    factors = []
    for wavelen in 2 * np.pi / freqs:
        if wavelen < high:
            factors.append(1)
        elif wavelen > low:
            factors.append(rope["factor"])
        else:
            smooth = (8192 / wavelen - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def add_parameters(writer, family, config):
    """TextModel.set_gguf_parameters and those of the four families."""
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if family == "llama":
        writer.add_vocab_size(vocabulary)
        writer.add_rope_dimension_count(width)
    rope = config["rope_parameters"].get("full_attention", config["rope_parameters"])
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if family == "gemma3":
        writer.add_rope_freq_base_swa(config["rope_parameters"]["sliding_attention"]["rope_theta"])
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern(2)


def add_tokenizer(writer):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([f"t{at}" for at in range(vocabulary)])
    writer.add_token_types([3, 3, 3] + [1] * (vocabulary - 3))
    writer.add_token_merges(["t 1", "t 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{{ messages }}")


def make_family(family, config):
    arch = MODEL_ARCH[family.upper()]
    names = get_tensor_name_map(arch, layers)
    writer = GGUFWriter(here / f"{family}.gguf", family)
    add_parameters(writer, family, config)
    add_tokenizer(writer)
    tensors = {}
    for name, shape in shapes(family, config):
        values = (random.standard_normal(shape) / 4).astype(np.float32)
        if family == "gemma3" and len(shape) == 1:
            # So that 1 added and taken off again loses nothing, the sign of 0 included.
            values = np.round(values * 64) / np.float32(64) + np.float32(0)
        kind = matrix_types[family] if len(shape) > 1 else Type.F32
        tensors[name] = summary(dequantize(quantize(values, kind), kind))
        data = quantize(changed(family, name, values), kind)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data, raw_dtype=kind)
    if config["rope_parameters"].get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(config["rope_parameters"]))
    write(writer)
    return {"config": config, "tensors": tensors}


# ---------------------------------------------------------------- a real file


def make_smollm2(path):
    reader = GGUFReader(path)
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, 30)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    layer = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
             "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"]
    wanted = ["model.embed_tokens.weight", "model.norm.weight",
              *[f"model.layers.{at}.{name}.weight" for at in (0, 29) for name in layer]]
    tensors = {}
    for name in wanted:
        tensor = stored[names.get_name(name, try_suffixes=(".weight",))]
        values = dequantize(tensor.data, tensor.tensor_type)
        for part, n_head in {"q_proj": 9, "k_proj": 3}.items():
            if part in name:  # the inverse of permute
                values = (values.reshape(n_head, values.shape[0] // n_head // 2, 2, -1).swapaxes(1, 2)
                          .reshape(values.shape))
        tensors[name] = summary(values)
    (here / "smollm2.json").write_text(json.dumps(tensors, indent=1) + "\n")


make_types()
make_values()
expected = {family: make_family(family, config) for family, config in families.items()}
(here / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
if len(sys.argv) > 1:
    make_smollm2(sys.argv[1])
