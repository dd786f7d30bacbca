// Straight from hidden states [rows, width] and the head [vocabulary, width]: logits exist only as
// tiles of TILE_ROWS x TILE_VOCABULARY in shared memory. The pass that makes them also adds up
// d log p / d hidden = W[y] - sum_v p_v W[v]; they are made again only for the gradient of the head.
#define PONENS_TILE_ROWS 32
#define PONENS_TILE_VOCABULARY 64
#define PONENS_TILE_WIDTH 32
// Elements that no row of a tile shares a bank with.
#define PONENS_PAD 8

// C [16, 8] += A [16, 16] B [16, 8] on the tensor cores, f32 sums.
#define PONENS_MMA(E, TYPE)                                                                          \
    __device__ __forceinline__ void ponens_mma(E, float* c, const unsigned* a, const unsigned* b) {  \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE ".f32 {%0, %1, %2, %3}, "         \
            "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                          \
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                         \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                     \
    }
PONENS_MMA(PonensBf16, "bf16")
PONENS_MMA(PonensF16, "f16")

// The numbers of a matrix [M, N] that a thread of 8 warps has: where the tensor cores leave them.
template <int M, int N> struct PonensSums {
    enum { ACROSS = M / 16, WIDE = N / (8 / ACROSS) / 8 };
    float sum[WIDE][4];
    __device__ __forceinline__ int row(int k) const {
        return threadIdx.x / 32 % ACROSS * 16 + threadIdx.x % 32 / 4 + (k < 2 ? 0 : 8);
    }
    __device__ __forceinline__ int column(int j, int k) const {
        return (threadIdx.x / 32 / ACROSS * WIDE + j) * 8 + threadIdx.x % 4 * 2 + k % 2;
    }
    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int j = 0; j < WIDE; ++j) sum[j][0] = sum[j][1] = sum[j][2] = sum[j][3] = 0.0f;
    }
};

// Sums of products of two tiles, [M, K] and [N, K] in shared memory with K innermost.
template <class E, int M, int N, int K> struct PonensProduct : PonensSums<M, N> {
    typedef PonensSums<M, N> Sums;
    __device__ __forceinline__ void add(const typename E::Stored* a, const typename E::Stored* b) {
        const int S = K + PONENS_PAD;
        int group = threadIdx.x % 32 / 4, pair = threadIdx.x % 4 * 2;
#pragma unroll
        for (int k = 0; k < K; k += 16) {
            unsigned x[4];
            const typename E::Stored* p = a + this->row(0) * S + k + pair;
            x[0] = *(const unsigned*)p;
            x[1] = *(const unsigned*)(p + 8 * S);
            x[2] = *(const unsigned*)(p + 8);
            x[3] = *(const unsigned*)(p + 8 * S + 8);
#pragma unroll
            for (int j = 0; j < Sums::WIDE; ++j) {
                unsigned y[2];
                const typename E::Stored* q =
                    b + ((threadIdx.x / 32 / Sums::ACROSS * Sums::WIDE + j) * 8 + group) * S + k + pair;
                y[0] = *(const unsigned*)q;
                y[1] = *(const unsigned*)(q + 8);
                ponens_mma(E(), this->sum[j], x, y);
            }
        }
    }
};

// In f32 the tensor cores would round the factors: plain sums instead, in the same places.
template <int M, int N, int K> struct PonensProduct<PonensF32, M, N, K> : PonensSums<M, N> {
    typedef PonensSums<M, N> Sums;
    __device__ __forceinline__ void add(const float* a, const float* b) {
        const int S = K + PONENS_PAD;
#pragma unroll 4
        for (int k = 0; k < K; ++k) {
            float x[2] = { a[this->row(0) * S + k], a[this->row(2) * S + k] };
#pragma unroll
            for (int j = 0; j < Sums::WIDE; ++j) {
                float y[2] = { b[this->column(j, 0) * S + k], b[this->column(j, 1) * S + k] };
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    this->sum[j][i] = fmaf(x[i / 2], y[i % 2], this->sum[j][i]);
            }
        }
    }
};

// Copies the tile [ROWS, WIDTH] at (first, from) of a matrix [count, width] into shared memory; what
// lies outside is 0. TURNED: as [WIDTH, ROWS].
template <class E, int ROWS, int WIDTH, bool TURNED>
__device__ __forceinline__ void ponens_tile_load(typename E::Stored* to,
                                                 const typename E::Stored* __restrict__ matrix,
                                                 long long first, long long count, long long from,
                                                 long long width) {
    const int STEP = E::WIDTH;
    // All rows are aligned where the first is and their length is a multiple of 16 bytes.
    bool aligned = (((unsigned long long)matrix & 15) == 0) && width % STEP == 0;
    for (int i = threadIdx.x; i < ROWS * WIDTH / STEP; i += PONENS_THREADS) {
        int r = i / (WIDTH / STEP), c = i % (WIDTH / STEP) * STEP;
        const typename E::Stored* p = matrix + (first + r) * width + from + c;
        float x[STEP];
        if (aligned && first + r < count && from + c < width) {
            ponens_load<E>(p, true, x);
        } else {
#pragma unroll
            for (int k = 0; k < STEP; ++k)
                x[k] = first + r < count && from + c + k < width ? E::read(p[k]) : 0.0f;
        }
#pragma unroll
        for (int k = 0; k < STEP; ++k) {
            int at = TURNED ? (c + k) * (ROWS + PONENS_PAD) + r : r * (WIDTH + PONENS_PAD) + c + k;
            to[at] = E::write(x[k]);
        }
    }
}

// The factors of the logits, and later one factor of the second product.
template <class E> struct PonensHeadShared {
    union {
        struct {
            typename E::Stored hidden[PONENS_TILE_ROWS * (PONENS_TILE_WIDTH + PONENS_PAD)];
            typename E::Stored head[PONENS_TILE_VOCABULARY * (PONENS_TILE_WIDTH + PONENS_PAD)];
        };
        typename E::Stored factor[PONENS_TILE_VOCABULARY * (PONENS_TILE_VOCABULARY + PONENS_PAD)];
    };
    float logits[PONENS_TILE_ROWS][PONENS_TILE_VOCABULARY + 1];
};

// What the second product takes besides: the other factor with the summed index innermost, [rows, words]
// or [words, rows], and how much the sums so far of each row shrink.
template <class E> struct PonensHeadSecond {
    typename E::Stored factor[PONENS_TILE_VOCABULARY * (PONENS_TILE_ROWS + PONENS_PAD)];
    float shrink[PONENS_TILE_ROWS];
};
// A kernel without a second product has no memory for it.
struct PonensNothing {};
template <bool WANTED, class T> struct PonensIf { typedef T Type; };
template <class T> struct PonensIf<false, T> { typedef PonensNothing Type; };

// The logits of rows [first, ..) at words [word, ..), in shared memory; all threads are past it.
template <class E>
__device__ __forceinline__ void ponens_head_tile(PonensHeadShared<E>& s,
                                                 const typename E::Stored* __restrict__ hidden,
                                                 const typename E::Stored* __restrict__ head,
                                                 long long first, long long rows, long long word,
                                                 long long vocabulary, long long width) {
    PonensProduct<E, PONENS_TILE_ROWS, PONENS_TILE_VOCABULARY, PONENS_TILE_WIDTH> product;
    product.clear();
    for (long long k = 0; k < width; k += PONENS_TILE_WIDTH) {
        __syncthreads();
        ponens_tile_load<E, PONENS_TILE_ROWS, PONENS_TILE_WIDTH, false>(s.hidden, hidden, first, rows,
                                                                      k, width);
        ponens_tile_load<E, PONENS_TILE_VOCABULARY, PONENS_TILE_WIDTH, false>(
            s.head, head, word, vocabulary, k, width);
        __syncthreads();
        product.add(s.hidden, s.head);
    }
#pragma unroll
    for (int j = 0; j < product.WIDE; ++j)
#pragma unroll
        for (int k = 0; k < 4; ++k) s.logits[product.row(k)][product.column(j, k)] = product.sum[j][k];
    __syncthreads();
}

// Adds the words of a tile to the sums of a row that its eight threads share; `found` becomes the
// target's logit. The target is in no sum, and not in the maximum: the others' weights keep their digits
// however certain it is.
__device__ __forceinline__ void ponens_head_row(PonensRow& r, float& found, const float* logits,
                                                long long word, long long vocabulary, int wanted) {
    typedef PonensWants<false, false, false, false> W;
    for (int c = threadIdx.x % 8; c < PONENS_TILE_VOCABULARY; c += 8) {
        if (word + c >= vocabulary) break;
        float x = logits[c];
        if (word + c == wanted)
            found = x;
        else
            ponens_row_add<W, 1>(r, &x, &x, 1);
    }
}

// The largest of the eight threads of a row, which stand side by side in a warp.
__device__ __forceinline__ float ponens_head_largest(float x) {
#pragma unroll
    for (int offset = 4; offset > 0; offset /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    return x;
}

// part [rows, width] = shrink part + weights [rows, words] head [words, width], and without a first
// summand where nothing has been added yet.
template <class E>
__device__ __forceinline__ void ponens_head_gather(PonensHeadShared<E>& s, PonensHeadSecond<E>& second,
                                                   const typename E::Stored* __restrict__ head,
                                                   long long first, long long rows, long long word,
                                                   long long vocabulary, long long width, bool empty,
                                                   float* part) {
    const int V = PONENS_TILE_VOCABULARY;
    for (long long k = 0; k < width; k += V) {
        __syncthreads();
        ponens_tile_load<E, V, V, true>(s.factor, head, word, vocabulary, k, width);
        __syncthreads();
        PonensProduct<E, PONENS_TILE_ROWS, V, V> p;
        p.clear();
        p.add(second.factor, s.factor);
#pragma unroll
        for (int j = 0; j < p.WIDE; ++j)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                long long row = first + p.row(i), column = k + p.column(j, i);
                if (row >= rows || column >= width) continue;
                float* to = part + row * width + column;
                *to = empty ? p.sum[j][i] : fmaf(*to, second.shrink[p.row(i)], p.sum[j][i]);
            }
    }
}

// The e^(z - max) of a tile as the factor of the second product, 0 at the target and outside; max is
// the row's largest logit so far, which only grows.
template <class E>
__device__ __forceinline__ void ponens_head_weights(PonensHeadShared<E>& s, PonensHeadSecond<E>& second,
                                                    float before, float max, long long word,
                                                    long long vocabulary, int wanted) {
    const int S = PONENS_TILE_VOCABULARY + PONENS_PAD;
    int own = threadIdx.x / 8;
    for (int c = threadIdx.x % 8; c < PONENS_TILE_VOCABULARY; c += 8) {
        bool weighs = wanted >= 0 && word + c < vocabulary && word + c != wanted;
        second.factor[own * S + c] = E::write(weighs ? expf(s.logits[own][c] - max) : 0.0f);
    }
    // Without a word so far both are -inf, whose difference is no number.
    if (threadIdx.x % 8 == 0) second.shrink[own] = before == max ? 1.0f : expf(before - max);
}

// Block (tile of rows, split of the vocabulary): the sums over its words, to be joined in order:
// [splits, rows] of the largest logit, the sum relative to it, and the target's logit where the split
// holds it, else 0. DIRECTION: also the sum of e^(z - max) W, [splits, rows, width] in f32.
template <class E, bool DIRECTION>
__device__ __forceinline__ void ponens_head_forward(
    long long rows, long long vocabulary, long long width, int splits,
    const typename E::Stored* __restrict__ hidden, const typename E::Stored* __restrict__ head,
    const int* __restrict__ target, float* __restrict__ part_max, float* __restrict__ part_sum,
    float* __restrict__ part_target, float* part) {
    typedef PonensWants<false, false, false, false> W;
    __shared__ PonensHeadShared<E> s;
    __shared__ typename PonensIf<DIRECTION, PonensHeadSecond<E> >::Type second;
    long long tiles = (rows + PONENS_TILE_ROWS - 1) / PONENS_TILE_ROWS;
    long long words = (vocabulary + PONENS_TILE_VOCABULARY - 1) / PONENS_TILE_VOCABULARY;
    int own = threadIdx.x / 8;
    for (long long b = blockIdx.x; b < tiles * splits; b += gridDim.x) {
        long long first = b / splits * PONENS_TILE_ROWS;
        int split = b % splits;
        long long row = first + own;
        int wanted = row < rows ? target[row] : -1;
        PonensRow r = ponens_row_empty();
        float found = 0.0f, max = -PONENS_INF;
        for (long long w = split; w < words; w += splits) {
            long long word = w * PONENS_TILE_VOCABULARY;
            ponens_head_tile<E>(s, hidden, head, first, rows, word, vocabulary, width);
            ponens_head_row(r, found, s.logits[own], word, vocabulary, wanted);
            if constexpr (DIRECTION) {
                float before = max;
                max = ponens_head_largest(r.max);
                ponens_head_weights<E>(s, second, before, max, word, vocabulary, wanted);
                ponens_head_gather<E>(s, second, head, first, rows, word, vocabulary, width,
                                      w == split, part + split * rows * width);
            }
        }
        // Seven of the eight threads of a row have found 0.
#pragma unroll
        for (int offset = 4; offset > 0; offset /= 2) {
            PonensRow o = r;
            o.max = __shfl_xor_sync(0xffffffffu, r.max, offset);
            o.sum = __shfl_xor_sync(0xffffffffu, r.sum, offset);
            o.low = __shfl_xor_sync(0xffffffffu, r.low, offset);
            r = ponens_row_join<W>(r, o);
            found += __shfl_xor_sync(0xffffffffu, found, offset);
        }
        if (threadIdx.x % 8 == 0 && row < rows) {
            part_max[split * rows + row] = r.max;
            // A logit of -inf would go unseen in a sum.
            part_sum[split * rows + row] = r.low == -PONENS_INF ? PONENS_INF - PONENS_INF : r.sum;
            part_target[split * rows + row] = found;
        }
    }
}

// The splits of each row, joined in order.
extern "C" __global__ void __launch_bounds__(PONENS_THREADS, 2) ponens_head_join(
    long long rows, long long vocabulary, int splits, const int* __restrict__ target,
    const float* __restrict__ part_max, const float* __restrict__ part_sum,
    const float* __restrict__ part_target, float* __restrict__ logp, float* __restrict__ normaliser) {
    typedef PonensWants<false, false, false, false> W;
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < rows;
         i += (long long)gridDim.x * blockDim.x) {
        PonensRow r = ponens_row_empty();
        float own = 0.0f;
        for (int p = 0; p < splits; ++p) {
            PonensRow o = ponens_row_empty();
            o.max = part_max[p * rows + i];
            o.sum = part_sum[p * rows + i];
            r = ponens_row_join<W>(r, o);
            own += part_target[p * rows + i];
        }
        // Where no other word is, the maximum is -inf and the sum 0.
        float max = r.max == -PONENS_INF ? 0.0f : r.max;
        float x = target[i] >= vocabulary ? PONENS_INF - PONENS_INF : own - max;
        float l = ponens_logp(logf(r.sum), x);
        logp[i] = target[i] < 0 ? 0.0f : l;
        // Above the others the target's own exponential may overflow.
        float z = x > 0.0f ? own - l : max + logf(r.sum + expf(x));
        normaliser[i] = target[i] < 0 ? 0.0f : z;
    }
}

// d log p / d hidden [rows, width] in f32 from the splits' sums, joined in order; 0 where a row does not
// count.
template <class E>
__device__ __forceinline__ void ponens_head_join_direction(
    long long rows, long long width, int splits, const typename E::Stored* __restrict__ head,
    const int* __restrict__ target, const float* __restrict__ part_max,
    const float* __restrict__ part, const float* __restrict__ logp,
    const float* __restrict__ normaliser, float* __restrict__ direction) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < rows * width;
         i += (long long)gridDim.x * blockDim.x) {
        long long row = i / width;
        int y = target[row];
        float u = 0.0f;
        if (y >= 0) {
            for (int p = 0; p < splits; ++p) {
                float max = part_max[p * rows + row];
                // A split without any other word has no sum.
                if (max != -PONENS_INF)
                    u -= expf(max - normaliser[row]) * part[p * rows * width + i];
            }
            u += -expm1f(logp[row]) * E::read(head[y * width + i % width]);
        }
        direction[i] = u;
    }
}

// d loss / d hidden from d log p / d hidden.
template <class E>
__device__ __forceinline__ void ponens_head_scale(long long rows, long long width,
                                                  const float* __restrict__ direction,
                                                  const float* __restrict__ d_logp,
                                                  typename E::Stored* __restrict__ d_hidden) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < rows * width;
         i += (long long)gridDim.x * blockDim.x)
        d_hidden[i] = E::write(d_logp[i / width] * direction[i]);
}

// d loss / d logit of the tile in shared memory as the factor [words, rows] of the second product; 0
// outside and where a row does not count.
template <class E>
__device__ __forceinline__ void ponens_head_slopes(PonensHeadShared<E>& s, PonensHeadSecond<E>& second,
                                                   long long first, long long rows, long long word,
                                                   long long vocabulary,
                                                   const int* __restrict__ target,
                                                   const float* __restrict__ logp,
                                                   const float* __restrict__ normaliser,
                                                   const float* __restrict__ d_logp) {
    const int R = PONENS_TILE_ROWS, V = PONENS_TILE_VOCABULARY;
    for (int i = threadIdx.x; i < R * V; i += PONENS_THREADS) {
        int r = i / V, c = i % V;
        long long row = first + r;
        bool counts = row < rows && word + c < vocabulary && target[row < rows ? row : 0] >= 0;
        float d = 0.0f;
        if (counts) {
            float p = expf(s.logits[r][c] - normaliser[row]);
            d = d_logp[row] * (word + c == target[row] ? -expm1f(logp[row]) : -p);
        }
        second.factor[c * (R + PONENS_PAD) + r] = E::write(d);
    }
}

// d loss / d head: each block owns tiles of words and adds up slope x hidden over all rows into
// d_head [vocabulary, width] in f32: it adds to what stands there.
template <class E>
__device__ __forceinline__ void ponens_head_backward_head(
    long long rows, long long vocabulary, long long width,
    const typename E::Stored* __restrict__ hidden, const typename E::Stored* __restrict__ head,
    const int* __restrict__ target, const float* __restrict__ logp,
    const float* __restrict__ normaliser,
    const float* __restrict__ d_logp, float* d_head) {
    __shared__ PonensHeadShared<E> s;
    __shared__ PonensHeadSecond<E> second;
    const int V = PONENS_TILE_VOCABULARY, R = PONENS_TILE_ROWS;
    long long words = (vocabulary + V - 1) / V;
    for (long long w = blockIdx.x; w < words; w += gridDim.x) {
        long long word = w * V;
        for (long long first = 0; first < rows; first += R) {
            ponens_head_tile<E>(s, hidden, head, first, rows, word, vocabulary, width);
            ponens_head_slopes<E>(s, second, first, rows, word, vocabulary, target, logp, normaliser,
                                  d_logp);
            for (long long k = 0; k < width; k += V) {
                __syncthreads();
                ponens_tile_load<E, R, V, true>(s.factor, hidden, first, rows, k, width);
                __syncthreads();
                PonensProduct<E, PONENS_TILE_VOCABULARY, PONENS_TILE_VOCABULARY, PONENS_TILE_ROWS> p;
                p.clear();
                p.add(second.factor, s.factor);
#pragma unroll
                for (int j = 0; j < p.WIDE; ++j)
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        long long at = word + p.row(i), column = k + p.column(j, i);
                        if (at < vocabulary && column < width) d_head[at * width + column] += p.sum[j][i];
                    }
            }
        }
    }
}
