// What a row of logits needs besides its normaliser and its target.
template <bool SQUARES, bool ENTROPY, bool KL_TO, bool KL_FROM> struct PonensWants {
    enum { squares = SQUARES, entropy = ENTROPY, kl_to = KL_TO, kl_from = KL_FROM };
    enum { other = KL_TO || KL_FROM };
};

// Sums over the part of a row seen so far, relative to the maxima of that part. x is a logit of this
// model, y of the other one. The target is left out of the sums, so that the odds against it are
// exact when it is almost certain; it counts for the maxima.
struct PonensRow {
    float max, sum;              // sum of e^(x - max)
    float squares;               // sum of e^(2 (x - max))
    float moment;                // sum of e^(x - max) (x - max)
    float other_max, other_sum;  // the same of the other model
    float cross_to;              // sum of e^(x - max) ((x - max) - (y - other_max))
    float cross_from;            // sum of e^(y - other_max) ((y - other_max) - (x - max))
    float low;                   // smallest logit of both models
};

__device__ __forceinline__ PonensRow ponens_row_empty() {
    PonensRow r = { -PONENS_INF, 0.0f, 0.0f, 0.0f, -PONENS_INF, 0.0f, 0.0f, 0.0f, PONENS_INF };
    return r;
}

// The same sums relative to higher maxima. An empty part stays 0.
template <class W>
__device__ __forceinline__ PonensRow ponens_row_raise(PonensRow r, float max, float other_max) {
    float d = r.max == -PONENS_INF ? 0.0f : r.max - max;
    float f = r.other_max == -PONENS_INF ? 0.0f : r.other_max - other_max;
    float c = r.max == -PONENS_INF ? 0.0f : expf(d);
    if (W::entropy) r.moment = c * (r.moment + d * r.sum);
    if (W::squares) r.squares *= c * c;
    if (W::kl_to) r.cross_to = c * (r.cross_to + (d - f) * r.sum);
    r.sum *= c;
    r.max = max;
    if (W::other) {
        float o = r.other_max == -PONENS_INF ? 0.0f : expf(f);
        if (W::kl_from) r.cross_from = o * (r.cross_from + (f - d) * r.other_sum);
        r.other_sum *= o;
        r.other_max = other_max;
    }
    return r;
}

template <class W> __device__ __forceinline__ PonensRow ponens_row_join(PonensRow a, PonensRow b) {
    float max = fmaxf(a.max, b.max);
    float other_max = W::other ? fmaxf(a.other_max, b.other_max) : 0.0f;
    a = ponens_row_raise<W>(a, max, other_max);
    b = ponens_row_raise<W>(b, max, other_max);
    a.sum += b.sum;
    a.low = fminf(a.low, b.low);
    if (W::squares) a.squares += b.squares;
    if (W::entropy) a.moment += b.moment;
    if (W::other) a.other_sum += b.other_sum;
    if (W::kl_to) a.cross_to += b.cross_to;
    if (W::kl_from) a.cross_from += b.cross_from;
    return a;
}

// Adds N logits: one rescaling for all of them. `skip` is the place of the target among them, or N.
template <class W, int N>
__device__ __forceinline__ void ponens_row_add(PonensRow& r, const float* x, const float* y,
                                               int skip) {
    float max = r.max, other_max = r.other_max;
#pragma unroll
    for (int k = 0; k < N; ++k) {
        max = fmaxf(max, x[k]);
        r.low = fminf(r.low, x[k]);
        if (W::other) {
            other_max = fmaxf(other_max, y[k]);
            r.low = fminf(r.low, y[k]);
        }
    }
    if (max > r.max || (W::other && other_max > r.other_max))
        r = ponens_row_raise<W>(r, max, other_max);
    // Nothing but -inf so far: its distance to itself would be NaN.
    float m = max == -PONENS_INF ? 0.0f : max;
    float n = other_max == -PONENS_INF ? 0.0f : other_max;
#pragma unroll
    for (int k = 0; k < N; ++k) {
        float a = x[k] - m;
        float e = k == skip ? 0.0f : expf(a);
        r.sum += e;
        if (W::squares) r.squares += e * e;
        if (W::entropy) r.moment += e > 0.0f ? e * a : 0.0f;
        if (W::other) {
            float b = y[k] - n;
            float h = k == skip ? 0.0f : expf(b);
            r.other_sum += h;
            if (W::kl_to) r.cross_to += e > 0.0f ? e * (a - b) : 0.0f;
            if (W::kl_from) r.cross_from += h > 0.0f ? h * (b - a) : 0.0f;
        }
    }
}

// WIDTH elements from any place: one load where the place is aligned to 16 bytes.
template <class E>
__device__ __forceinline__ void ponens_load(const typename E::Stored* p, bool aligned, float* x) {
    if (aligned) {
        E::unpack(*(const uint4*)p, x);
    } else {
#pragma unroll
        for (int k = 0; k < E::WIDTH; ++k) x[k] = E::read(p[k]);
    }
}

// Elements before the first 16-byte boundary of a row: row bases are aligned only when the vocabulary
// is a multiple of WIDTH.
template <class E>
__device__ __forceinline__ long long ponens_head(const void* row, long long vocabulary) {
    long long misaligned = ((unsigned long long)row & 15) / sizeof(typename E::Stored);
    long long head = misaligned ? E::WIDTH - misaligned : 0;
    return head < vocabulary ? head : vocabulary;
}

// The place of the target among N logits from `first` on; N where it is not there.
template <int N> __device__ __forceinline__ int ponens_place(long long target, long long first) {
    unsigned long long at = target - first;
    return at < N ? (int)at : N;
}

// The sums over one row by LANES threads; complete in the first of them.
template <class E, class W, int LANES>
__device__ __forceinline__ PonensRow ponens_row_scan(const typename E::Stored* __restrict__ row,
                                                     const typename E::Stored* __restrict__ other,
                                                     long long vocabulary, int target, int lane) {
    PonensRow r = ponens_row_empty();
    float x[E::WIDTH], y[E::WIDTH];
    long long head = ponens_head<E>(row, vocabulary);
    long long quads = (vocabulary - head) / E::WIDTH;
    bool aligned = W::other && ponens_head<E>(other, vocabulary) == head;
    for (long long i = lane; i < head; i += LANES) {
        x[0] = E::read(row[i]);
        if (W::other) y[0] = E::read(other[i]);
        ponens_row_add<W, 1>(r, x, y, i == target ? 0 : 1);
    }
    for (long long i = lane; i < quads; i += LANES) {
        long long v = head + i * E::WIDTH;
        ponens_load<E>(row + v, true, x);
        if (W::other) ponens_load<E>(other + v, aligned, y);
        ponens_row_add<W, E::WIDTH>(r, x, y, ponens_place<E::WIDTH>(target, v));
    }
    for (long long i = head + quads * E::WIDTH + lane; i < vocabulary; i += LANES) {
        x[0] = E::read(row[i]);
        if (W::other) y[0] = E::read(other[i]);
        ponens_row_add<W, 1>(r, x, y, i == target ? 0 : 1);
    }
    return r;
}

template <class W> __device__ __forceinline__ PonensRow ponens_row_warp(PonensRow r) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        PonensRow b = r;
        b.max = __shfl_xor_sync(0xffffffffu, r.max, offset);
        b.sum = __shfl_xor_sync(0xffffffffu, r.sum, offset);
        b.low = __shfl_xor_sync(0xffffffffu, r.low, offset);
        if (W::squares) b.squares = __shfl_xor_sync(0xffffffffu, r.squares, offset);
        if (W::entropy) b.moment = __shfl_xor_sync(0xffffffffu, r.moment, offset);
        if (W::other) {
            b.other_max = __shfl_xor_sync(0xffffffffu, r.other_max, offset);
            b.other_sum = __shfl_xor_sync(0xffffffffu, r.other_sum, offset);
        }
        if (W::kl_to) b.cross_to = __shfl_xor_sync(0xffffffffu, r.cross_to, offset);
        if (W::kl_from) b.cross_from = __shfl_xor_sync(0xffffffffu, r.cross_from, offset);
        r = ponens_row_join<W>(r, b);
    }
    return r;
}

// Where the statistics of a row go: [rows], null where not wanted.
struct PonensStatistics {
    float *logp, *normaliser, *squares, *entropy, *kl_to, *kl_from;
};

// log p(target) from the logarithm of the others' sum and the target's logit, both relative to one
// maximum.
__device__ __forceinline__ float ponens_logp(float others, float x) {
    return -ponens_softplus(others - x);
}

// A position that does not count has statistics 0, and its logits are not read. A target outside the
// vocabulary gives NaN, and so does a logit of -inf, which would go unseen in a sum.
template <class E, class W>
__device__ __forceinline__ void ponens_row_store(PonensRow r, const typename E::Stored* row,
                                                 const typename E::Stored* other, int target, long long vocabulary, long long at,
                                                 PonensStatistics to) {
    if (target < 0) {
        to.logp[at] = to.normaliser[at] = 0.0f;
        if (W::squares) to.squares[at] = 0.0f;
        if (W::entropy) to.entropy[at] = 0.0f;
        if (W::kl_to) to.kl_to[at] = 0.0f;
        if (W::kl_from) to.kl_from[at] = 0.0f;
        return;
    }
    bool bad = target >= vocabulary || r.low == -PONENS_INF;
    float x = bad ? PONENS_INF - PONENS_INF : E::read(row[target]) - r.max;
    to.logp[at] = ponens_logp(logf(r.sum), x);
    float own = expf(x);
    r.sum += own;
    float log_sum = logf(r.sum);
    to.normaliser[at] = r.max + log_sum;
    if (W::squares) to.squares[at] = logf(r.squares + own * own) - 2.0f * log_sum;
    if (W::entropy) to.entropy[at] = log_sum - (r.moment + (own > 0.0f ? own * x : 0.0f)) / r.sum;
    if (W::other) {
        float y = bad ? PONENS_INF - PONENS_INF : E::read(other[target]) - r.other_max;
        float of_other = expf(y);
        r.other_sum += of_other;
        r.cross_to += own > 0.0f ? own * (x - y) : 0.0f;
        r.cross_from += of_other > 0.0f ? of_other * (y - x) : 0.0f;
        float other_log_sum = logf(r.other_sum);
        float to_other = r.cross_to / r.sum - (log_sum - other_log_sum);
        float from_other = r.cross_from / r.other_sum - (other_log_sum - log_sum);
        // A divergence is not negative; what rounding left below 0 is 0, NaN stays.
        if (W::kl_to) to.kl_to[at] = to_other < 0.0f ? 0.0f : to_other;
        if (W::kl_from) to.kl_from[at] = from_other < 0.0f ? 0.0f : from_other;
    }
}

// One warp a row: for small vocabularies.
template <class E, class W>
__device__ __forceinline__ void ponens_statistics_warp(
    long long rows, long long vocabulary, const typename E::Stored* __restrict__ logits,
    const typename E::Stored* __restrict__ other, const int* __restrict__ target,
    PonensStatistics to) {
    int lane = threadIdx.x % 32;
    long long warps = (long long)gridDim.x * (PONENS_THREADS / 32);
    for (long long i = blockIdx.x * (long long)(PONENS_THREADS / 32) + threadIdx.x / 32; i < rows;
         i += warps) {
        const typename E::Stored* row = logits + i * vocabulary;
        PonensRow r = ponens_row_empty();
        if (target[i] >= 0) {
            r = ponens_row_scan<E, W, 32>(row, other + i * vocabulary, vocabulary, target[i],
                                          lane);
        }
        r = ponens_row_warp<W>(r);
        if (lane == 0)
            ponens_row_store<E, W>(r, row, other + i * vocabulary, target[i], vocabulary, i, to);
    }
}

// One block a row. The warps' sums are joined in order, so that two runs agree bit for bit.
template <class E, class W>
__device__ __forceinline__ void ponens_statistics_block(
    long long rows, long long vocabulary, const typename E::Stored* __restrict__ logits,
    const typename E::Stored* __restrict__ other, const int* __restrict__ target,
    PonensStatistics to) {
    __shared__ PonensRow part[PONENS_THREADS / 32];
    for (long long i = blockIdx.x; i < rows; i += gridDim.x) {
        const typename E::Stored* row = logits + i * vocabulary;
        PonensRow r = ponens_row_empty();
        if (target[i] >= 0) {
            r = ponens_row_scan<E, W, PONENS_THREADS>(row, other + i * vocabulary, vocabulary,
                                                      target[i], threadIdx.x);
        }
        r = ponens_row_warp<W>(r);
        if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = r;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int w = 1; w < PONENS_THREADS / 32; ++w) r = ponens_row_join<W>(r, part[w]);
            ponens_row_store<E, W>(r, row, other + i * vocabulary, target[i], vocabulary, i, to);
        }
        __syncthreads();
    }
}

// What the pass back reads of a row, and the derivative of the loss with respect to each statistic.
struct PonensRowBack {
    float rest;  // 1 - p(target)
    float normaliser, other_normaliser, squares, entropy, kl_to;
    float d_logp, d_squares, d_entropy, d_kl_to, d_kl_from;
};

// d loss / d x for one logit x of the row, y of the other model.
template <class W>
__device__ __forceinline__ float ponens_slope(float x, float y, bool is_target, PonensRowBack b) {
    float logp = x - b.normaliser;
    float p = expf(logp);
    float d = b.d_logp * (is_target ? b.rest : -p);
    if (W::squares) d += b.d_squares * (2.0f * p * (p * expf(-b.squares) - 1.0f));
    if (W::entropy) d -= b.d_entropy * (p > 0.0f ? p * (logp + b.entropy) : 0.0f);
    if (W::other) {
        float logq = y - b.other_normaliser;
        if (W::kl_to) d += b.d_kl_to * (p > 0.0f ? p * ((logp - logq) - b.kl_to) : 0.0f);
        if (W::kl_from) d += b.d_kl_from * (p - expf(logq));
    }
    return d;
}

// In place: the logits of a row become d loss / d logits; 0 where the position does not count.
template <class E, class W, int LANES>
__device__ __forceinline__ void ponens_row_back(typename E::Stored* row,
                                                const typename E::Stored* __restrict__ other,
                                                long long vocabulary, int target, int lane,
                                                PonensRowBack b) {
    bool counts = target >= 0;
    float x[E::WIDTH], y[E::WIDTH];
    long long head = ponens_head<E>(row, vocabulary);
    long long quads = (vocabulary - head) / E::WIDTH;
    bool aligned = W::other && ponens_head<E>(other, vocabulary) == head;
    for (long long v = lane; v < head; v += LANES) {
        float q = W::other ? E::read(other[v]) : 0.0f;
        row[v] = E::write(counts ? ponens_slope<W>(E::read(row[v]), q, v == target, b) : 0.0f);
    }
    for (long long i = lane; i < quads; i += LANES) {
        long long v = head + i * E::WIDTH;
        E::unpack(*(const uint4*)(row + v), x);
        if (W::other) ponens_load<E>(other + v, aligned, y);
#pragma unroll
        for (int k = 0; k < E::WIDTH; ++k) {
            float q = W::other ? y[k] : 0.0f;
            x[k] = counts ? ponens_slope<W>(x[k], q, v + k == target, b) : 0.0f;
        }
        *(uint4*)(row + v) = E::pack(x);
    }
    for (long long v = head + quads * E::WIDTH + lane; v < vocabulary; v += LANES) {
        float q = W::other ? E::read(other[v]) : 0.0f;
        row[v] = E::write(counts ? ponens_slope<W>(E::read(row[v]), q, v == target, b) : 0.0f);
    }
}

// Where the pass back finds what the forward pass left and the derivatives: [rows], null where not
// wanted.
struct PonensBack {
    const float *logp, *normaliser, *other_normaliser, *squares, *entropy, *kl_to;
    const float *d_logp, *d_squares, *d_entropy, *d_kl_to, *d_kl_from;
};

template <class W> __device__ __forceinline__ PonensRowBack ponens_back_at(PonensBack b, long long i) {
    PonensRowBack r = {};
    r.rest = -expm1f(b.logp[i]);
    r.normaliser = b.normaliser[i];
    r.d_logp = b.d_logp[i];
    if (W::squares) { r.squares = b.squares[i]; r.d_squares = b.d_squares[i]; }
    if (W::entropy) { r.entropy = b.entropy[i]; r.d_entropy = b.d_entropy[i]; }
    if (W::other) r.other_normaliser = b.other_normaliser[i];
    if (W::kl_to) { r.kl_to = b.kl_to[i]; r.d_kl_to = b.d_kl_to[i]; }
    if (W::kl_from) r.d_kl_from = b.d_kl_from[i];
    return r;
}

// LANES = 32: one warp a row; LANES = PONENS_THREADS: one block a row.
template <class E, class W, int LANES>
__device__ __forceinline__ void ponens_backward(long long rows, long long vocabulary,
                                                typename E::Stored* logits,
                                                const typename E::Stored* __restrict__ other,
                                                const int* __restrict__ target, PonensBack from) {
    const int PER_BLOCK = PONENS_THREADS / LANES;
    for (long long i = blockIdx.x * (long long)PER_BLOCK + threadIdx.x / LANES; i < rows;
         i += (long long)gridDim.x * PER_BLOCK) {
        ponens_row_back<E, W, LANES>(logits + i * vocabulary, other + i * vocabulary, vocabulary,
                                     target[i], threadIdx.x % LANES, ponens_back_at<W>(from, i));
    }
}
