import math

import torch
from torch import nn


class TransformerModel(nn.Module):
    def __init__(self, ntoken, d_model, nhead, d_hid, nlayers, dropout=0.5):
        super().__init__()
        self.d_model = d_model
        pe = torch.zeros(5000, 1, d_model)
        position = torch.arange(5000).unsqueeze(1)
        div = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe[:, 0, 0::2] = torch.sin(position * div)
        pe[:, 0, 1::2] = torch.cos(position * div)[:, : d_model // 2]
        self.register_buffer("pe", pe)
        self.encoder = nn.Embedding(ntoken, d_model)
        self.drop = nn.Dropout(dropout)
        self.transformer_encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(d_model, nhead, d_hid, dropout), nlayers)
        self.decoder = nn.Linear(d_model, ntoken)

    def forward(self, src, src_mask):
        src = self.encoder(src) * math.sqrt(self.d_model)
        src = self.drop(src + self.pe[: src.size(0)])
        return self.decoder(self.transformer_encoder(src, src_mask))


class Seq2SeqTransformer(nn.Module):
    def __init__(self, num_encoder_layers, num_decoder_layers, emb_size, nhead, src_vocab_size, tgt_vocab_size, dim_feedforward=512, dropout=0.1):
        super().__init__()
        self.transformer = nn.Transformer(emb_size, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward, dropout)
        self.generator = nn.Linear(emb_size, tgt_vocab_size)
        self.src_tok_emb = nn.Embedding(src_vocab_size, emb_size)
        self.tgt_tok_emb = nn.Embedding(tgt_vocab_size, emb_size)
        self.emb_size = emb_size
        den = torch.exp(-torch.arange(0, emb_size, 2) * math.log(10000) / emb_size)
        pos = torch.arange(0, 500).reshape(500, 1)
        table = torch.zeros((500, emb_size))
        table[:, 0::2] = torch.sin(pos * den)
        table[:, 1::2] = torch.cos(pos * den)[:, : emb_size // 2]
        self.register_buffer("pos_embedding", table.unsqueeze(-2))

    def forward(self, src, trg, src_mask, tgt_mask, src_padding_mask, tgt_padding_mask, memory_key_padding_mask):
        src_emb = self.src_tok_emb(src) * math.sqrt(self.emb_size) + self.pos_embedding[: src.size(0)]
        tgt_emb = self.tgt_tok_emb(trg) * math.sqrt(self.emb_size) + self.pos_embedding[: trg.size(0)]
        outs = self.transformer(
            src_emb, tgt_emb, src_mask, tgt_mask, None, src_padding_mask, tgt_padding_mask, memory_key_padding_mask
        )
        return self.generator(outs)
