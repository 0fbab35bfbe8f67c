"""Models of random weights as Hugging Face's libraries keep them: `tiny_hf.py FOLDER` makes three.

`chat` writes, `embed` embeds (with sentence-transformers' files) and `rank` scores a pair of texts.

Their weights are drawn from one seed, and those of `chat` are bent: what follows a token is nearly the
token's own affair, so that a question is always answered by the same sentence and then ends; one with
tools is answered by a call; and where the end is forbidden, the sentence begins again. A chunk that is
lost, told twice or cut inside a letter therefore shows. To "Sing!" there is no end.
"""

import json
import pathlib
import sys

import numpy as np

HEADS, HEAD, KEYS, LAYERS, INNER, CONTEXT = 6, 64, 2, 2, 128, 8192
# One place for each token, and more: the last is the same for all of them.
WIDTH = HEADS * HEAD

# Some letters are of several bytes, and spread over tokens.
SENTENCE = ["Every", " word", " of", " this", " caf", b"\xc3", b"\xa9", " arrives", " in", " its",
            " own", " piece", ",", " each", " one", " after", " another", ":", " \xfc", "ber",
            " \u65e5\u672c", b" ", b"\xf0", b"\x9f", b"\xa6", b"\x80", " and", " none", " is",
            " missing", "."]
CALL = ["<tool_call>", "\n{\"name\": \"get_weather\"", ", \"arguments\": {\"city\": \"Z", "\xfcr",
        "ich\"}}", "\n</tool_call>"]
SONG = [" tra", " la"]
PAD, START, END, TOOLS, SING = "<|pad|>", "<|im_start|>", "<|im_end|>", "<|tools|>", "<|sing|>"

TEMPLATE = """\
{%- if tools %}<|im_start|>system
Call a function as <tool_call>{"name": ..., "arguments": {...}}</tool_call>. These there are:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}
{%- elif message.content %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif -%}
{%- for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments":
{%- set given = call.function.arguments %} {{ given if given is string else given | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if messages[-1].content == "Sing!" %}<|sing|>
{%- elif tools and messages[-1].role != "tool" %}<|tools|>{% endif %}{% endif -%}
"""


def letters():
    """How a byte is written in a vocabulary of bytes: those that cannot be seen are moved."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(0x100) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {
        byte: chr(0x100 + at) for at, byte in enumerate(moved)}


LETTERS = letters()


def spelled(piece):
    raw = piece.encode() if isinstance(piece, str) else piece
    return "".join(LETTERS[byte] for byte in raw)


SENTENCE, SONG = [spelled(piece) for piece in SENTENCE], [spelled(piece) for piece in SONG]
CALL = [CALL[0], *map(spelled, CALL[1:])]
# Texts are read byte by byte; what is longer than that is only ever written.
PLAIN = list(dict.fromkeys([*map(LETTERS.get, range(0x100)), *SENTENCE, *CALL[1:], *SONG]))
SPECIAL = [PAD, START, END, TOOLS, SING, CALL[0]]
VOCABULARY = PLAIN + SPECIAL
IDS = {token: at for at, token in enumerate(VOCABULARY)}
assert len(VOCABULARY) < WIDTH
assert len(set(SENTENCE + CALL)) == len(SENTENCE + CALL), "a token has one successor"


def successors():
    """(token, what follows it, how likely)"""
    for chain in ([spelled("\n"), *SENTENCE, END], [TOOLS, *CALL, END], [SING, *SONG, SONG[0]]):
        for token, following in zip(chain, chain[1:], strict=False):
            yield token, following, 60
    # Where the end is forbidden.
    yield SENTENCE[-1], SENTENCE[0], 40


def weights(random, bent):
    """The layers, and what stands before and behind them."""
    size = len(VOCABULARY)

    def draw(*shape, scale):
        return random.standard_normal(shape) * scale

    embedding = draw(size, WIDTH, scale=0.01)
    embedding[:, :size] += np.eye(size)
    embedding[:, -1] = 1
    made = {"model.embed_tokens.weight": embedding, "model.norm.weight": np.ones(WIDTH)}
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            made[f"{name}.{norm}.weight"] = np.ones(WIDTH)
        out = 0.0005 if bent else 0.2
        for part, rows, columns, scale in [
                ("self_attn.q_proj", WIDTH, WIDTH, 0.1), ("self_attn.k_proj", KEYS * HEAD, WIDTH, 0.1),
                ("self_attn.v_proj", KEYS * HEAD, WIDTH, 0.1), ("self_attn.o_proj", WIDTH, WIDTH, out),
                ("mlp.gate_proj", INNER, WIDTH, 0.1), ("mlp.up_proj", INNER, WIDTH, 0.1),
                ("mlp.down_proj", WIDTH, INNER, out)]:
            made[f"{name}.{part}.weight"] = draw(rows, columns, scale=scale)
    return made


def head(random):
    """From what a token left behind to what follows it."""
    # The length all of them have when they come here.
    scale = np.sqrt(WIDTH / 2)
    table = random.standard_normal((len(VOCABULARY), WIDTH)) * 0.01
    for token, following, weight in successors():
        table[IDS[following], IDS[token]] += weight / scale
    # Where only some are allowed, a text ends soon.
    for token, weight in {'"': 12, "}": 11, "]": 11, ":": 9, ",": 9, "1": 8}.items():
        table[IDS[token], -1] += weight / scale
    for token in (PAD, START, TOOLS, SING):
        table[IDS[token], -1] -= 10 / scale
    return table


def tokenizer():
    byte_level = {
        "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [
            {"id": IDS[token], "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": token not in CALL} for token in SPECIAL],
        "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": False, "vocab": {token: IDS[token] for token in PLAIN}, "merges": []},
    }


def config(architecture, **more):
    return {
        "architectures": [architecture], "model_type": "llama", "vocab_size": len(VOCABULARY),
        "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KEYS, "head_dim": HEAD,
        "hidden_act": "silu", "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": False, "bos_token_id": None, "eos_token_id": IDS[END],
        "pad_token_id": IDS[PAD], "torch_dtype": "float32", **more,
    }


def safetensors(path, tensors):
    """The format is a length, a JSON object of places, and the numbers."""
    places, numbers, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in tensors.items():
        raw = tensor.astype("<f4").tobytes()
        places[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [at, at + len(raw)]}
        numbers.append(raw)
        at += len(raw)
    head = json.dumps(places).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(numbers))


def write(folder, architecture, tensors, files=None, **more):
    folder.mkdir(parents=True)
    safetensors(folder / "model.safetensors", tensors)
    about = {
        "config.json": config(architecture, **more),
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": PAD,
            "model_max_length": CONTEXT, "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE},
        **(files or {}),
    }
    for name, content in about.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1))


def main(folder):
    folder = pathlib.Path(folder)
    random = np.random.default_rng(20)
    generation = {"eos_token_id": IDS[END], "pad_token_id": IDS[PAD]}
    write(folder / "chat", "LlamaForCausalLM",
          weights(random, bent=True) | {"lm_head.weight": head(random)},
          files={"generation_config.json": generation})
    (folder / "chat" / "chat_template.jinja").write_text(TEMPLATE)

    kind = "sentence_transformers.models"
    modules = [{"idx": at, "name": str(at), "path": path, "type": f"{kind}.{name}"}
               for at, (path, name) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])]
    body = weights(random, bent=False)
    write(folder / "embed", "LlamaModel",
          {name.removeprefix("model."): tensor for name, tensor in body.items()},
          files={"modules.json": modules,
                 "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
                 "1_Pooling/config.json": {"word_embedding_dimension": WIDTH,
                                           "pooling_mode_mean_tokens": True}})
    score = random.standard_normal((1, WIDTH)) * 0.1
    write(folder / "rank", "LlamaForSequenceClassification", body | {"score.weight": score},
          num_labels=1, id2label={"0": "score"}, label2id={"score": 0})


if __name__ == "__main__":
    main(sys.argv[1])
