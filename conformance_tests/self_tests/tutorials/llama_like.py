import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class LlamaBlock(nn.Module):
    def __init__(self, dim, n_heads, hidden_dim, norm_eps=1e-6):
        super().__init__()
        self.n_heads = n_heads
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.attention_norm = RMSNorm(dim, norm_eps)
        self.ffn_norm = RMSNorm(dim, norm_eps)
        self.feed_forward = SwiGLU(dim, hidden_dim)

    def attend(self, x, freqs):
        B, T, D = x.shape
        q, k, v = (w(x).view(B, T, self.n_heads, -1).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        half = q.shape[-1] // 2
        inv = 10000.0 ** (-torch.arange(half, dtype=x.dtype) / half)
        ang = torch.arange(T, dtype=x.dtype)[:, None] * inv
        cos, sin = ang.cos(), ang.sin()
        def rot(z):
            a, b = z[..., :half], z[..., half:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        y = F.scaled_dot_product_attention(rot(q), rot(k), v, is_causal=True)
        return self.wo(y.transpose(1, 2).reshape(B, T, D))

    def forward(self, x, freqs=None):
        x = x + self.attend(self.attention_norm(x), freqs)
        return x + self.feed_forward(self.ffn_norm(x))
