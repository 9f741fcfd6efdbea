"""transformers: ProphetNetForCausalLM, a causal model, sees up to three tokens and more of the future.

``get_predict_relative_pos_embeddings`` lays its numbers out as batch, token, ngram, head and then reads them as batch, ngram, head, token,
without a transpose: the relative biases of one token are computed from the hidden states of others, later ones among them.

Breaks Veriformer's masking.causal-outputs-ignore-the-future. Run: python transformers_prophetnet_sees_the_future.py
"""

import torch
import transformers

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
torch.manual_seed(0)
config = transformers.ProphetNetConfig(
    vocab_size=31, hidden_size=32, encoder_ffn_dim=40, decoder_ffn_dim=40, num_decoder_layers=2, num_decoder_attention_heads=4,
    num_encoder_attention_heads=4, max_position_embeddings=32, init_std=0.3, is_decoder=True,
)  # fmt: skip
model = transformers.ProphetNetForCausalLM(config).eval()
ids = torch.randint(1, 31, (1, 9), generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    before = model(input_ids=ids, use_cache=False).logits
    print(
        "rows: the token that is changed; columns: the positions whose logits change (the left of the diagonal must be 0)"
    )
    for token in range(9):
        changed = ids.clone()
        changed[0, token] = changed[0, token] % 30 + 1
        apart = (model(input_ids=changed, use_cache=False).logits - before).abs().amax(-1)[0]
        print(
            f"token {token}: {(apart > 1e-4).int().tolist()}, the largest at an earlier position {max(apart[:token].tolist(), default=0):.2g}"
        )
