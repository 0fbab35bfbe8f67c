"""A model of random weights, small enough to be made in a second: `tiny_model.py FILE.gguf`.

It makes no sense, and always the same: weights are drawn from one seed. Its words weigh more than its
single characters, so free text is words, some of them of several bytes a letter, and what a grammar
asks for (a tool call, a JSON document) can still be spelled.
"""

import string
import sys

import gguf
import numpy as np

WIDTH, HEADS, LAYERS, INNER, CONTEXT = 64, 2, 2, 128, 4096

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
# How a call of a function begins, as one token, so that `logit_bias` can ask for one.
CALL = ["<tool_call>\n"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
CHARACTERS = [char for char in string.printable if char.isprintable() and char != " "] + ["▁"]
ENDINGS = ["ado", "ami", "elu", "eno", "ino", "oré", "ulo", "una"]
WORDS = [f"▁{first}{ending}" for first in "bdfgklmnprstvz" for ending in ENDINGS]
WORDS += ["▁naïve", "▁мир", "▁日本", "▁🦀"]

TEMPLATE = """\
{%- if tools %}<|im_start|>system
Call a function as <tool_call>{"name": ..., "arguments": {...}}</tool_call>. These there are:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% endif -%}
{%- for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": 
{%- set given = call.function.arguments %} {{ given if given is string else given | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def main(path):
    pieces = SPECIAL + CALL + BYTES + CHARACTERS + WORDS
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * (len(SPECIAL) - 1)
    kinds += [gguf.TokenType.USER_DEFINED] * len(CALL)
    kinds += [gguf.TokenType.BYTE] * len(BYTES)
    kinds += [gguf.TokenType.NORMAL] * (len(CHARACTERS) + len(WORDS))

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([-float(index) for index in range(len(pieces))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(pieces.index("<s>"))
    writer.add_eos_token_id(pieces.index("<|im_end|>"))
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)

    random = np.random.default_rng(20)

    def add(name, *shape, scale=1.0):
        weights = random.standard_normal(shape) * scale
        writer.add_tensor(name, weights.astype(np.float32))

    add("token_embd.weight", len(pieces), WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{block}.{name}.weight", WIDTH, WIDTH, scale=0.2)
        add(f"{block}.ffn_gate.weight", INNER, WIDTH, scale=0.2)
        add(f"{block}.ffn_up.weight", INNER, WIDTH, scale=0.2)
        add(f"{block}.ffn_down.weight", WIDTH, INNER, scale=0.2)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    head = random.standard_normal((len(pieces), WIDTH)) * 0.5
    head[: -len(WORDS)] *= 0.05
    writer.add_tensor("output.weight", head.astype(np.float32))

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
