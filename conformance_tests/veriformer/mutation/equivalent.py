"""Equivalent: mutants that compute the same, by the reason why; in ``explained`` by their ids."""

from collections.abc import Mapping
from typing import Final

BY_REASON: Final[Mapping[str, tuple[str, ...]]] = {
    "The loss adds up everything that comes out, along whichever axis it was added up before": (
        "training.cross_entropy: return -torch.where(target > 0, target * log_probabilities, 0.0).sum()",
        "training.cross_entropy: return -torch.where(target > 0, target * log_probabilities, 0.0).sum(dim=-2)",
        "training.cross_entropy: return -torch.where(target > 0, target * log_probabilities, 0.0)",
        "training.cross_entropy: return -torch.where(target > 0, target * log_probabilities, 0.0).sum(dim=0)",
    ),
    "Which of equally likely ids crosses p is free": (
        "generation.keep_top_p: probabilities, order = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True, stable=False)",
        "generation.keep_top_p: probabilities, order = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True)",
    ),
    "Of the log-probabilities only the shape is used, which has no gradient": (
        "training.smoothed_targets: return ((1 - share) * target + share * (1 - target) / max(vocab - 1, 1)).detach()",
    ),
    "A vocabulary of one word has no other class: what is spread over none is undefined": (
        "training.smoothed_targets: return (1 - share) * target + share * (1 - target) / max(vocab - 1, 0)",
        "training.smoothed_targets: return (1 - share) * target + share * (1 - target) / (vocab - 1)",
    ),
    "No claim of this role makes key heads fewer than heads": (
        "heads.self_attention: slices = split(x, config.kv_heads)",
        "relative.AlibiBias.forward: return alibi(distances(*positions)[0], self.config.kv_heads)",
    ),
    "Where positions are read, queries and memory are one sequence, and so as long as each other": (
        "heads.multi_head_attention: query_positions, key_positions = relative.aligned_positions(memory.shape[1], source.shape[1], query.device)",
        "heads.multi_head_attention: query_positions, key_positions = relative.aligned_positions(query.shape[1], source.shape[1], memory.device)",
        "heads.multi_head_attention: query_positions, key_positions = relative.aligned_positions(source.shape[1], query.shape[1], query.device)",
        "heads.multi_head_attention: return look(queries(query, key_positions, own, config), keys(source, key_positions, own, config), values(source, own, config), mask, query_positions, key_positions, own, config)",
        "heads.multi_head_attention: return look(queries(query, query_positions, own, config), keys(source, key_positions, own, config), values(source, own, config), mask, key_positions, key_positions, own, config)",
        "heads.multi_head_attention: return look(queries(query, query_positions, own, config), keys(source, key_positions, own, config), values(source, own, config), mask, key_positions, query_positions, own, config)",
        "heads.multi_head_attention: return look(queries(query, query_positions, own, config), keys(source, key_positions, own, config), values(source, own, config), mask, query_positions, query_positions, own, config)",
        "heads.multi_head_attention: return look(queries(query, query_positions, own, config), keys(source, query_positions, own, config), values(source, own, config), mask, query_positions, key_positions, own, config)",
    ),
    "There are as many caches as layers: they were made so": (
        "cache.step: for (layer, past) in zip(stack.in_order(own.stack.layers, own.config), cache.layers):",
    ),
    "A list that nobody changes": (
        "cache.step: return (model.logits(stack.top(x, own.stack), own.embedding, own.head, own.config), Cache(layers, real))",
        "decoder.decoder: layers = stack.in_order(own.layers, config)",
    ),
    "A mask comes with every step once a token is padding (None means that all are real), so that what is remembered is not read": (
        "cache.reorder: return Cache(tuple((Layer(layer.keys[rows], layer.values[rows]) for layer in cache.layers)), cache.real)",
    ),
    "The same number is added to the score of every text": (
        "generation.beam_search: kept = [Beam(prompt, 1.0, ended=False)]",
        "generation.beam_search: kept = [Beam(prompt, -1.0, ended=False)]",
    ),
    "Whether a minimum counts the ids before the end token is free": (
        "generation.one_by_one: chosen = choose(forbid(next_logits(model, ids), end_id, forbidden=length <= min_new_tokens))",
        "generation.beam_search: kept = keep_best(continuations(model, kept, end_id, may_end=length > min_new_tokens), beams)",
    ),
    "The first of two drawn without putting back is distributed as one": (
        "generation.draw: return torch.multinomial(torch.softmax(left, dim=-1), 2)[:, 0]",
    ),
    "Two tensors of one dtype": (
        "normalization.layer_norm: return apply_shift(apply_gain(normal, gain.to(normal), config.gain), wide_shift).to(x.dtype)",
        "normalization.rms_norm: wide = working_dtype(gain.dtype, config.computes_in)",
        "normalization.rms_norm: return apply_gain(normal, gain.to(wide), config.gain).to(gain.dtype)",
    ),
    "Every construction passes one size for both": (
        "recurrence.AdditiveAttention.__init__: self.memory = parameters.Linear(memory, query, bias=False)",
        "recurrence.AdditiveAttention.__init__: self.query = parameters.Linear(hidden, query, bias=False)",
        "recurrence.AdditiveAttention.__init__: self.query = parameters.Linear(hidden, hidden, bias=False)",
        "recurrence.AdditiveAttention.__init__: self.query = parameters.Linear(query, query, bias=False)",
        "recurrence.AdditiveAttention.__init__: self.score = parameters.Linear(query, 1, bias=False)",
        "recurrence.GatedRecurrentUnit.__init__: self.size = inputs",
        "heads.MultiHeadAttention.__init__: key_features = config.kv_heads * config.d_value",
        "heads.MultiHeadAttention.__init__: query_features = config.heads * config.d_value",
        "heads.MultiHeadAttention.__init__: self.output = parameters.Linear(config.d_model, query_features, bias=config.bias)",
        "heads.MultiHeadAttention.__init__: self.query = parameters.Linear(query_features, config.d_model, bias=config.bias)",
        "heads.head_norm: sizes = dataclasses.replace(config, d_model=config.d_value, normalization=config.query_key_norm)",
    ),
    "A device by its name": (
        "relative.AlibiBias.forward: positions = aligned_positions(q_len, k_len, 'cpu')",
    ),
    "The claims of these roles say causal already": (
        "model.causal: only `return config`",
        "model.causal: return dataclasses.replace(config)",
    ),
    "Rounds of a loop that do not know which round they are": (
        "stack.Encoder.__init__: self.layers = nn.ModuleList((EncoderLayer(config, self.relative) for _ in list(range(distinct_layers(config)))[::-1]))",
        "decoder.Decoder.__init__: self.layers = nn.ModuleList((DecoderLayer(config, self.relative) for _ in list(range(distinct))[::-1]))",
        "generation.side_by_side: longest = max((len(text) for text in list(texts)[::-1]))",
        "generation.beam_search: if all((beam.ended for beam in list(kept)[::-1])):",
        "relative.bucket_starts: for j in list(range(shared))[::-1]:",
    ),
    "A sum does not know the order of its two terms, nor broadcasting its leading axis of one": (
        "residual.post_norm: return norm(add(drop(sublayer(x), rate=rate, training=training), x))",
        "position.place: return add(table[positions], x)",
        "position.sinusoidal: angles = positions(length, device)[:, None] * frequencies(d_model, device)",
    ),
    "A query and a key have one size": (
        "attention.attention: factor = scale_factor(key.shape[-1], scale)",
    ),
    "A head's transform and its norm are both there, or neither is": (
        "model.transform: if own.transform is None and own.norm is None:",
        "model.transform: if own.norm is None:",
        "model.transform: if own.transform is None:",
    ),
    "A default that every caller in the reference overrides, or that means the same": (
        "attention.attention: def with mask=None, scale='inverse-root', causal=True, alignment='end', soft_cap=None, bias=None",
        "heads.attend: def with mask=None, scale='inverse-root', causal=False, alignment='no end', soft_cap=None, bias=None",
        "attention.attention: def with mask=None, scale='inverse-root', causal=False, alignment='no end', soft_cap=None, bias=None",
        "attention.attention: def with mask=None, scale='no inverse-root', causal=False, alignment='end', soft_cap=None, bias=None",
        "heads.attend: def with mask=None, scale='inverse-root', causal=True, alignment='end', soft_cap=None, bias=None",
        "heads.attend: def with mask=None, scale='no inverse-root', causal=False, alignment='end', soft_cap=None, bias=None",
        "relative.aligned_positions: def with alignment='no end'",
    ),
    "An empty sequence raises or is empty: both are free": (
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if True else like.new_zeros(len(like), 0, features)",
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if steps else like",
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if steps else like.new_zeros(len(like), -1, features)",
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if steps else like.new_zeros(len(like), 0)",
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if steps else like.new_zeros(len(like), features, 0)",
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if steps else like.new_zeros(like, 0, features)",
        "recurrence.decode: return side_by_side(features, memory, tokens.shape[-1])",
        "recurrence.decode: return side_by_side(features, tokens, memory.shape[-1])",
        "recurrence.decode: return side_by_side(features, tokens, tokens.shape)",
        "recurrence.decode: return side_by_side(features, tokens, tokens.shape[-2])",
        "recurrence.decode: return side_by_side(features, tokens, tokens.shape[0])",
        "recurrence.decode: return side_by_side(features, tokens.shape[-1], tokens)",
        "recurrence.read: return side_by_side(states, own.size, tokens)",
    ),
    "Where dropout falls besides the sublayers is free; the claim says whether anything is dropped": (
        "model.EncoderDecoder.__init__: self.encoder.drops = self.encoder.drops = True",
        "model.LanguageModel.__init__: without `self.stack.drops = True`",
        "model.EncoderDecoder.__init__: self.decoder.drops = self.decoder.drops = True",
        "model.EncoderDecoder.__init__: self.encoder.drops = self.decoder.drops = False",
        "model.EncoderDecoder.__init__: without `self.encoder.drops = self.decoder.drops = True`",
        "model.LanguageModel.__init__: self.stack.drops = False",
        "stack.Bottom.__init__: self.drops = self.positions is None",
        "stack.bottom: return normal if own.drops else normal",
        "stack.bottom: return residual.drop(normal, rate=config.dropout, training=own.training) if False else normal",
        "stack.bottom: return residual.drop(normal, rate=config.dropout, training=own.training) if True else normal",
    ),
    "An id that was chosen has no gradient": (
        "generation.cool: return ((logits.double() - logits.double().amax(dim=-1, keepdim=True)) / temperature).detach()",
        "generation.forbid: return logits.detach()",
        "generation.forbid: return logits.masked_fill(is_end, -torch.inf).detach()",
        "generation.keep_top_k: return logits.masked_fill(~kept, -torch.inf).detach()",
        "generation.keep_top_p: return logits.masked_fill(~kept, -torch.inf).detach()",
    ),
    "Gradients through a cache are not promised: who remembers does not train": (
        "cache.attention_input: return normal.detach()",
        "cache.look_back: return heads.look(queries, known.keys, known.values, masking.for_every_query(real), new, positions, own, config).detach()",
        "position.place: return add(x, table[positions]).detach()",
    ),
    "Sinusoids have no parameter that could be trained": (
        "position.interleave: return torch.stack((sines, cosines), dim=-1).flatten(-2)[:, :d_model].detach()",
    ),
    "Of the target distribution nothing is trained": (
        "training.smoothed_targets: return ((1 - share) * target + share / vocab).detach()",
    ),
    "Of equally likely texts any may be kept": (
        "generation.continuations: for (beam, row) in list(zip(going_on, scores, strict=True))[::-1]:",
        "generation.continuations: for (next_id, score) in list(enumerate(row.tolist()))[::-1]:",
        "generation.continuations: found = [beam for beam in list(beams)[::-1] if beam.ended]",
        "generation.continuations: going_on = [beam for beam in list(beams)[::-1] if not beam.ended]",
    ),
    "Two lists of one length": (
        "generation.continuations: for (beam, row) in zip(going_on, scores):",
        "generation.continuations: for (beam, row) in zip(going_on, scores, strict=False):",
        "cache.step: for (layer, past) in zip(stack.in_order(own.stack.layers, own.config), cache.layers, strict=False):",
    ),
    "A number, or a tensor that holds it": (
        "generation.continuations: for (next_id, score) in enumerate(row):",
    ),
    "The softmax takes no notice of a number that is added to a row, and takes the largest away by itself": (
        "generation.cool: return (logits - logits.double().amax(dim=-1, keepdim=True)) / temperature",
        "generation.cool: return (logits.double() + logits.double().amax(dim=-1, keepdim=True)) / temperature",
        "generation.cool: return (logits.double() - logits.amax(dim=-1, keepdim=True)) / temperature",
        "generation.cool: return (logits.double() - logits.double().amax(keepdim=True)) / temperature",
        "generation.cool: return logits.double() / temperature",
    ),
    "One is drawn: the first is the last": (
        "generation.draw: return torch.multinomial(torch.softmax(left, dim=-1), 1)[:, -1]",
    ),
    "The last of the kinds there are": (
        "generation.generate: if True: #3",
        "feed_forward.activate: if True: #4",
    ),
    "Whether more ids than there are may be asked for is free": (
        "generation.keep_top_k: chosen = logits.topk(k, dim=-1).indices",
    ),
    "An argument that says what is so without it, or two in another order whose order does not matter": (
        "generation.keep_top_k: chosen = logits.topk(min(k, logits.shape[-1])).indices",
        "generation.keep_top_k: chosen = logits.topk(min(logits.shape[-1], k), dim=-1).indices",
        "generation.keep_top_p: probabilities, order = torch.softmax(logits, dim=-1).sort(descending=True, stable=True)",
        "training.loss: return cross_entropy(expected, real).sum() / max(1, len(real))",
        "training.smoothed_targets: return (1 - share) * target + share * (1 - target) / max(1, vocab - 1)",
        "training.learning_rate: rate: float = d_model ** (-0.5) * min(step * warmup ** (-1.5), step ** (-0.5))",
    ),
    "Above zero, p lets the likeliest id in by itself": (
        "generation.keep_top_p: first = logits.shape[-1] == 0",
        "generation.keep_top_p: first = torch.arange(logits.shape[-1], device=logits.device) == -1",
        "generation.keep_top_p: kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before < p)",
    ),
    "Where probabilities sum to p in every digit, what comes next is free": (
        "generation.keep_top_p: kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, (before <= p) | first)",
    ),
    "Every place of it is written": (
        "generation.keep_top_p: kept = torch.ones_like(logits, dtype=torch.bool).scatter(-1, order, (before < p) | first)",
    ),
    "Once every text has ended, padding may follow": (
        "generation.one_by_one: if False:",
        "generation.one_by_one: without `break`",
    ),
    "A tensor without elements, whatever is in it": (
        "cache.start: nothing = table.new_ones(batch, config.kv_heads, 0, config.d_head)",
        "cache.start: real = torch.ones(batch, 0, dtype=torch.bool, device=table.device)",
    ),
    "A table and what is made like it are on one device": (
        "cache.start: real = torch.zeros(batch, 0, dtype=torch.bool, device=nothing.device)",
    ),
    "Keys and values of a head have one size where a cache is claimed": (
        "cache.start: nothing = table.new_zeros(batch, config.kv_heads, 0, config.d_value)",
    ),
    "Positions are counted for every real token, so that there are as many": (
        "cache.step: x = stack.bottom(own.embedding(ids), own.stack, own.config, new_positions(positions, ids.shape[1]), length=positions.shape[1])",
    ),
    "An iterator that is read once": (
        "cache.reorder: return Cache((Layer(layer.keys[rows], layer.values[rows]) for layer in cache.layers), cache.real[rows])",
    ),
    "A sum, a product, a conjunction and an equality do not know the order of their terms": (
        "normalization.divide_by_root_mean_square: return x / root(eps, mean_square(x))",
        "normalization.standardise: return (x - mean(x)) / root(eps, variance(x))",
        "position.LearnedEncoding.forward: return add(look_up(self.table, x.shape[-2]), x)",
        "position.SinusoidalEncoding.forward: return add(sinusoidal(x.shape[-2], self.config.d_model, x.dtype, x.device), x)",
        "residual.pre_norm: return add(drop(sublayer(norm(x)), rate=rate, training=training), x)",
        "attention.attention: visible = masking.combine(causal_mask, mask)",
        "heads.within_window: return masking.combine(masking.window(query_positions, key_positions, config.window)[:, None], mask)",
        "embedding.embed: trained = freeze(rows, config.pad_id, ids) if config.padding_row == 'frozen' else rows",
    ),
    "Two axes exchanged, whichever is named first": (
        "heads.merge: return x.transpose(-2, -3).flatten(-2)",
        "heads.split: return x.reshape(*x.shape[:-1], heads, -1).transpose(-2, -3)",
    ),
    "Broadcasting adds the leading axis by itself, and a slice begins at zero by itself": (
        "masking.causal: return key_position <= query_position[:, None]",
        "masking.causal_from_the_start: return key_position <= query_position[:, None]",
        "rotary.pairs: return (x[..., ::2], x[..., 1::2])",
    ),
    "An axis of one: the first is the last": (
        "recurrence.additive_attention: return attention.average(attention.weights(scores, None if mask is None else mask[:, -1]), memory)",
        "recurrence.additive_scores: return linear(torch.tanh(pairs), own.score)[..., -1]",
        "recurrence.step: context = own.attention(state[:, None], memory, mask)[:, -1]",
        "relative.RelativeBias.forward: return relative(distances(*positions)[-1], self, self.config, bidirectional=bidirectional)",
        "relative.AlibiBias.forward: return alibi(distances(*positions)[-1], self.config.heads)",
        "stack.in_order: return [layers[-1]] * config.layers if config.layer_parameters == 'shared' else list(layers)",
    ),
    "A number and itself as a float": (
        "attention.scale_factor: return claimed",
    ),
    "Two tensors of one dtype, or the wider of two, which a sum or a product takes by itself": (
        "normalization.layer_norm: return apply_shift(apply_gain(normal, gain, config.gain), wide_shift).to(x.dtype)",
        "normalization.layer_norm: return apply_shift(apply_gain(normal, gain.to(wide), config.gain), wide_shift).to(gain.dtype)",
        "normalization.layer_norm: wide = working_dtype(gain.dtype, config.computes_in)",
        "normalization.layer_norm: wide_shift = None if shift is None else shift",
        "normalization.rms_norm: return apply_gain(normal, gain, config.gain).to(x.dtype)",
        "normalization.rms_norm: return apply_gain(normal, gain.to(normal), config.gain).to(x.dtype)",
        "heads.look: averages = attend(queries, keys, values, within_window(mask, query_positions, key_positions, config), scale=config.scale, causal=config.causal, soft_cap=config.soft_cap, bias=bias(query_positions, key_positions, own, config, keys.dtype))",
        "heads.look: averages = attend(queries, keys, values, within_window(mask, query_positions, key_positions, config), scale=config.scale, causal=config.causal, soft_cap=config.soft_cap, bias=bias(query_positions, key_positions, own, config, values.dtype))",
        "generation.continuations: scores = forbid(torch.log_softmax(logits, dim=-1), end_id, forbidden=not may_end)",
    ),
    "A query, a key and a value have one device, and keys and values one length": (
        "attention.attention: causal_mask = masking.triangle(q_len, k_len, alignment, key.device) if causal else None",
        "attention.attention: causal_mask = masking.triangle(q_len, k_len, alignment, value.device) if causal else None",
        "attention.attention: q_len, k_len = (query.shape[-2], value.shape[-2])",
    ),
    "Initial values are free, and the suite gives its own": (
        "model.Head.__init__: started = nn.init.normal_(torch.empty(config.vocab), std=0.0)",
        "model.Head.__init__: started = nn.init.normal_(torch.empty(config.vocab), std=0.04)",
        "model.Head.__init__: started = nn.init.normal_(torch.empty(config.vocab), std=1.02)",
    ),
    "What is refused here raises one step later as well": (
        "position.look_up: if False:",
        "rotary.frequencies: if False:",
        "rotary.frequencies: if d_head % 1:",
        "training.learning_rate: if False:",
        "training.learning_rate: if d_model < 1:",
        "training.learning_rate: if step < 0:",
        "training.learning_rate: if warmup < 1:",
        "position.place: table = own.table",
    ),
    "What a causal query cannot see may have any bias": (
        "relative.bucket: return one_sided_bucket(distance, buckets, max_distance)",
        "relative.bucket: return one_sided_bucket(distance.clamp(min=-1), buckets, max_distance)",
    ),
    "A negative index counts from the end of the table, and arrives at the same row": (
        "relative.bucket: return one_sided_bucket(distance.abs(), side, max_distance) - side * (distance < 0)",
    ),
    "The largest distance is reached before the search ends": (
        "relative.bucket_starts: starts.append(next((distance for distance in list(range(exact, max_distance + 1))[:-1] if distance ** shared >= reached)))",
        "relative.bucket_starts: starts.append(next((distance for distance in range(exact, max_distance + 0) if distance ** shared >= reached)))",
        "relative.bucket_starts: starts.append(next((distance for distance in range(exact, max_distance + 2) if distance ** shared >= reached)))",
        "relative.bucket_starts: starts.append(next((distance for distance in range(exact, max_distance - 1) if distance ** shared >= reached)))",
        "relative.bucket_starts: starts.append(next((distance for distance in range(exact, max_distance) if distance ** shared >= reached)))",
    ),
    "Half of the buckets are exact and half are shared: as many": (
        "relative.bucket_starts: starts = list(range(shared))",
    ),
    "The same tensor by another name": (
        "stack.bottom: placed = own.positions(placed)",
        "stack.bottom: placed = position.place(placed, own.positions, positions, length or x.shape[1])",
    ),
    "Without positions there is nothing left to place": (
        "stack.bottom: if own.positions is not None: #2",
    ),
    "A norm at the bottom is claimed of models alone, which drop there": (
        "stack.bottom: return residual.drop(normal, rate=config.dropout, training=own.training) if own.drops else placed",
    ),
    "Hidden weights are zero already": (
        "masking.empty_empty_rows: return weights.masked_fill(~mask, 0.0)",
    ),
    "A loss that is zero times anything finite; logits are finite": (
        "training.cross_entropy: return -torch.where(target >= 0, target * log_probabilities, 0.0).sum(dim=-1)",
        "training.cross_entropy: return -torch.where(target > -1, target * log_probabilities, 0.0).sum(dim=-1)",
    ),
    "A uniform number is the rate itself with probability nothing": (
        "training.draw_kept: return torch.rand(x.shape, device=x.device) > rate",
    ),
    "At rate 1 nothing is kept: what it would be scaled by, or that it cannot be computed, is free": (
        "training.drop: scale = -1.0 if rate == 1 else 1 / (1 - rate)",
        "training.drop: scale = 0.0 if False else 1 / (1 - rate)",
        "training.drop: scale = 0.0 if rate == 2 else 1 / (1 - rate)",
        "training.drop: scale = 1.0 if rate == 1 else 1 / (1 - rate)",
    ),
    "There are as many real tokens as targets": (
        "training.loss: return cross_entropy(expected, real).sum() / max(len(expected), 1)",
    ),
    "The mean over no token at all is free": (
        "training.loss: return cross_entropy(expected, real).sum() / len(real)",
        "training.loss: return cross_entropy(expected, real).sum() / max(len(real), 0)",
    ),
    "A window is claimed of causal subjects alone": (
        "heads.within_window: if not config.sliding_window:",
    ),
    "Where keys come from the query, the memory that is passed is the query": (
        "heads.keys_and_values_from: return memory if claimed == 'query' else memory",
        "heads.keys_and_values_from: return query if False else memory",
        "heads.keys_and_values_from: return query if claimed == 'no query' else memory",
        "heads.multi_head_attention: source = keys_and_values_from(memory, memory, config.memory)",
    ),
    "Any word but `query` means the memory, and a decoder layer claims no other; any word that is no kind of positions means none": (
        "decoder.across: return dataclasses.replace(config, causal=False, positions='no none', memory='separate')",
        "decoder.across: return dataclasses.replace(config, causal=False, positions='none')",
        "decoder.across: return dataclasses.replace(config, causal=False, positions='none', memory='no separate')",
    ),
    "NaN in a row that sees nothing is overwritten, by zeros on the way there and on the way back": (
        "attention.weights: hidden = masking.hide(scores, mask)",
        "masking.open_empty_rows: return mask",
    ),
}  # fmt: skip
"""It computes the same for everything that the role's call may be given; or the specification leaves the difference free."""
