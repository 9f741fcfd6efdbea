"""Classes as tutorials write them, without an adapter: the right ones, ones whose masks point otherwise, and ones with a line that is wrong."""

import dataclasses
from pathlib import Path

FOLDER = Path(__file__).parent / "tutorials"


@dataclasses.dataclass(frozen=True)
class Class:
    """A class to be judged.

    Attributes:
        target: file.py:Class in ``FOLDER``, or package.module:Class.
        style: whose style it is written in.
        old, new: one line of it that is written otherwise.
        clauses: what finds that, where it is wrong; any of them.
        fault: a word of what the diagnosis calls it; empty where it has no name.
        says: of what is assumed, what must be said: what -> the beginning of its value.
        only: the clauses that a quick test asks.
    """

    target: str
    role: str
    style: str = ""
    old: str = ""
    new: str = ""
    clauses: tuple[str, ...] = ()
    fault: str = ""
    says: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return (
            self.target
            if not self.new and not self.old
            else f"{self.target}, with `{self.new or '(nothing)'}` for `{self.old}`"
        )

    def typed(self, folder: Path) -> str:
        """What to type; a class that is written otherwise stands in a file of its own in ``folder``."""
        where, _, name = self.target.partition(":")
        if not where.endswith(".py"):
            return self.target
        text = (FOLDER / where).read_text()
        if self.old:
            assert text.count(self.old) >= 1, f"{where} has no {self.old!r}"
            text = text.replace(self.old, self.new)
        file = folder / f"{Path(where).stem}_{abs(hash((self.old, self.new))) % 10**8}.py"
        file.write_text(text)
        return f"{file}:{name}"


KEEPS, HIDES = "True keeps", "True hides"

RIGHT = (
    Class("annotated.py:MultiHeadedAttention", "multi-head-attention", "The Annotated Transformer", says=(("the mask mask", KEEPS),)),
    Class("annotated.py:EncoderLayer", "encoder-layer", "The Annotated Transformer", says=(("norm", "pre"),)),
    Class("annotated.py:Encoder", "encoder", "The Annotated Transformer", says=(("norm", "pre"),)),
    Class("annotated.py:DecoderLayer", "decoder-layer", "The Annotated Transformer", says=(("the mask src_mask", KEEPS), ("norm", "pre"))),
    Class("nanogpt.py:CausalSelfAttention", "multi-head-attention", "nanoGPT", says=(("causal", "True"), ("memory", "query"))),
    Class("nanogpt.py:Block", "encoder-layer", "nanoGPT", says=(("causal", "True"), ("norm", "pre"), ("activation", "gelu"), ("d_ff", "4"))),
    Class("nanogpt.py:GPT", "causal-lm", "nanoGPT", says=(("tied", "True"), ("positions", "learned"), ("norm", "pre"))),
    Class("mingpt.py:Block", "encoder-layer", "minGPT", says=(("activation", "gelu-tanh"), ("causal", "True"))),
    Class("d2l.py:MultiHeadAttention", "multi-head-attention", "Dive into Deep Learning", says=(("the mask valid_lens", "numbers of"), ("bias", "False"))),
    Class("d2l.py:TransformerEncoderBlock", "encoder-layer", "Dive into Deep Learning", says=(("norm", "post"),)),
    Class("keras_like.py:TransformerBlock", "encoder-layer", "Keras' example", says=(("the mask key_padding_mask", HIDES), ("eps", "1e-06"))),
    Class("aladdin.py:SelfAttention", "multi-head-attention", "Aladdin Persson", says=(("the mask mask", KEEPS),)),
    Class("bentrevett.py:EncoderLayer", "encoder-layer", "bentrevett", says=(("norm", "post"),)),
    Class("bentrevett.py:DecoderLayer", "decoder-layer", "bentrevett", says=(("output", "the result[0]"),)),
    Class("bentrevett.py:Seq2Seq", "encoder-decoder", "bentrevett", says=(("padding in source", "told by"), ("embedding_scale", "root"))),
    Class("uva.py:MultiheadAttention", "multi-head-attention", "UvA deep learning", says=(("the mask mask", KEEPS),)),
    Class("uva.py:EncoderBlock", "encoder-layer", "UvA deep learning", says=(("norm", "post"),)),
    Class("uva.py:TransformerEncoder", "encoder", "UvA deep learning", says=(("norm", "post"),)),
    Class("uva.py:PositionalEncoding", "positional-encoding", "UvA deep learning", says=(("layout", "batch first"),)),
    Class("bloem.py:SelfAttention", "multi-head-attention", "Peter Bloem", says=(("bias", "False"),)),
    Class("bloem.py:GTransformer", "causal-lm", "Peter Bloem", says=(("output", "logarithms"), ("positions", "learned"))),
    Class("labml_like.py:MultiHeadAttention", "multi-head-attention", "labml", says=(("layout", "time first"),)),
    Class("labml_like.py:TransformerLayer", "encoder-layer", "labml", says=(("layout", "time first"), ("norm", "pre"))),
    Class("raschka.py:TransformerBlock", "encoder-layer", "Sebastian Raschka", says=(("activation", "gelu-tanh"), ("norm", "pre"))),
    Class("raschka.py:GPTModel", "causal-lm", "Sebastian Raschka", says=(("positions", "learned"),)),
    Class("pytorch_tutorials.py:TransformerModel", "causal-lm", "PyTorch's language model", says=(("layout", "time first"), ("the mask src_mask", HIDES))),
    Class("pytorch_tutorials.py:Seq2SeqTransformer", "encoder-decoder", "PyTorch's translator", says=(("layout", "time first"), ("the mask tgt_mask", HIDES), ("the mask memory_key_padding_mask", HIDES), ("final_norm", "True"))),
    Class("llama_like.py:LlamaBlock", "encoder-layer", "Llama", says=(("activation", "swiglu"), ("normalization", "rms"), ("positions", "rotary"), ("bias", "False"))),
    Class("vit_like.py:FastAttention", "multi-head-attention", "timm", says=(("the mask attn_mask", KEEPS),)),
    Class("vit_like.py:ViTBlock", "encoder-layer", "timm", says=(("norm", "pre"), ("eps", "1e-06"))),
    Class("diffusion_like.py:CrossAttention", "multi-head-attention", "latent diffusion", says=(("the mask mask", KEEPS), ("bias", "False"))),
    Class("torch.nn:MultiheadAttention", "multi-head-attention", "torch.nn", says=(("the mask attn_mask", HIDES),)),
    Class("torch.nn:TransformerEncoderLayer", "encoder-layer", "torch.nn", says=(("the mask src_mask", HIDES),)),
    Class("torch.nn:TransformerDecoderLayer", "decoder-layer", "torch.nn", says=(("the mask tgt_mask", HIDES),)),
    Class("transformers.models.bert.modeling_bert:BertLayer", "encoder-layer", "transformers", says=(("the mask attention_mask", ""),)),
)  # fmt: skip
"""Right as they are."""

OTHERWISE = (
    Class("uva.py:MultiheadAttention", "multi-head-attention", "UvA deep learning", "masked_fill(mask == 0,", "masked_fill(mask,", says=(("the mask mask", HIDES),)),
    Class("uva.py:MultiheadAttention", "multi-head-attention", "UvA deep learning", 'attn_logits.masked_fill(mask == 0, float("-inf"))', "attn_logits + mask", says=(("the mask mask", "added"),)),
    Class("annotated.py:EncoderLayer", "encoder-layer", "The Annotated Transformer", 'masked_fill(mask == 0, float("-inf"))', 'masked_fill(mask == 1, float("-inf"))', says=(("the mask mask", HIDES),)),
    Class("bentrevett.py:DecoderLayer", "decoder-layer", "bentrevett", "masked_fill(mask == 0, torch.finfo(energy.dtype).min)", "masked_fill(mask.bool(), torch.finfo(energy.dtype).min)", says=(("the mask trg_mask", HIDES), ("the mask src_mask", HIDES))),
    Class("aladdin.py:SelfAttention", "multi-head-attention", "Aladdin Persson", 'energy.masked_fill(mask == 0, float("-inf"))', "energy + torch.log(mask)", says=(("the mask mask", ""),)),
)  # fmt: skip
"""Right, and their masks point another way: understood, not failed."""

PUBLISHED = (
    Class("aladdin.py:TransformerBlock", "encoder-layer", "Aladdin Persson: dropout falls on the normalised sum, and so on the skip",
          clauses=("residual.dropout-falls-on-the-sublayer-not-on-the-skip",), says=(("d_ff", "4"), ("norm", "post"))),
    Class("aladdin.py:DecoderBlock", "decoder-layer", "Aladdin Persson: dropout falls on the normalised sum, and so on the skip",
          clauses=("residual.dropout-falls-on-the-sublayer-not-on-the-skip",), says=(("the mask trg_mask", KEEPS),)),
    Class("bloem.py:TransformerBlock", "encoder-layer", "Peter Bloem: dropout falls on the normalised sum, and so on the skip",
          clauses=("residual.dropout-falls-on-the-sublayer-not-on-the-skip",), says=(("norm", "post"),)),
    Class("annotated.py:LayerNorm", "layer-norm", "The Annotated Transformer: it divides by d_model - 1, and adds eps outside the root",
          clauses=("normalization",)),
    Class("annotated.py:MultiHeadedAttention", "multi-head-attention", "The Annotated Transformer: -1e9 does not fit into 16 bits", 'float("-inf")', "-1e9",
          ("numerics.half-precision-masks-stay-finite",)),
)  # fmt: skip
"""As their authors wrote them, and not what the specification says: each fails by one of these clauses (or a clause of that chapter)."""

WRONG = (
    Class("annotated.py:MultiHeadedAttention", "multi-head-attention", "The Annotated Transformer",
          "x.transpose(1, 2).contiguous().view(", "x.contiguous().view(", ("heads.time-stays-time",), "merge-heads-without-transpose"),
    Class("annotated.py:EncoderLayer", "encoder-layer", "The Annotated Transformer",
          "return x + self.dropout(sublayer(self.norm(x)))", "return self.dropout(sublayer(self.norm(x)))", ("residual.the-skip-adds-the-input-once",), "skip"),
    Class("nanogpt.py:Block", "encoder-layer", "nanoGPT",
          "torch.tril(torch.ones(config.block_size, config.block_size))", "torch.tril(torch.ones(config.block_size, config.block_size), diagonal=1)",
          ("masking.causal-outputs-ignore-the-future",), "causal"),
    Class("nanogpt.py:CausalSelfAttention", "multi-head-attention", "nanoGPT", " * (1.0 / math.sqrt(k.size(-1)))", "", ("attention.scale-is-the-inverse-root-of-the-key-size",), "scale"),
    Class("nanogpt.py:GPT", "causal-lm", "nanoGPT", "self.transformer.wte(idx) + self.transformer.wpe(pos)", "self.transformer.wte(idx)", ("position.positions-enter-once-for-every-token",), "position"),
    Class("mingpt.py:Block", "encoder-layer", "minGPT", "x = x + self.attn(self.ln1(x))", "x = self.ln1(x) + self.attn(self.ln1(x))",
          ("residual.the-skip-adds-the-input-once", "residual.norm-placement-is-as-claimed"), ""),
    Class("d2l.py:MultiHeadAttention", "multi-head-attention", "Dive into Deep Learning", "[None, :] < valid_lens", "[None, :] <= valid_lens",
          ("masking.masked-keys-are-invisible",), ""),
    Class("keras_like.py:TransformerBlock", "encoder-layer", "Keras' example", "self.layernorm2(out1 + ", "self.layernorm2(inputs + ",
          ("residual.the-skip-holds-the-value-before-the-sublayer",), "skip"),
    Class("aladdin.py:SelfAttention", "multi-head-attention", "Aladdin Persson", "dim=3)", "dim=2)", ("heads.equals-the-reference", "heads.repeating-the-sequence-repeats-the-output", "heads.symmetric-weights-give-the-known-output"), "softmax"),
    Class("bentrevett.py:EncoderLayer", "encoder-layer", "bentrevett", "torch.finfo(energy.dtype).min", "1e-10", ("masking.masked-keys-are-invisible",), "mask"),
    Class("bentrevett.py:DecoderLayer", "decoder-layer", "bentrevett", "self.encoder_attention(trg, enc_src, enc_src, src_mask)",
          "self.encoder_attention(trg, trg, trg, trg_mask)", ("heads", "masking", "stack"), ""),
    Class("uva.py:MultiheadAttention", "multi-head-attention", "UvA deep learning", "mask=mask)", "mask=None)", ("masking.masked-keys-are-invisible",), "mask"),
    Class("uva.py:EncoderBlock", "encoder-layer", "UvA deep learning", "/ math.sqrt(d_k)", "/ math.sqrt(4 * d_k)", ("attention", "heads", "stack"), "scale"),
    Class("bloem.py:SelfAttention", "multi-head-attention", "Peter Bloem", "F.softmax(dot, dim=2)", "F.softmax(dot, dim=1)", ("attention", "heads"), "softmax"),
    Class("labml_like.py:MultiHeadAttention", "multi-head-attention", "labml", "nn.Softmax(dim=1)", "nn.Softmax(dim=0)", ("attention", "heads", "masking"), "softmax"),
    Class("raschka.py:TransformerBlock", "encoder-layer", "Sebastian Raschka", "unbiased=False", "unbiased=True", ("normalization", "stack"), ""),
)  # fmt: skip
"""One line of each is a mistake: it must fail by one of these clauses (or a clause of that chapter)."""
