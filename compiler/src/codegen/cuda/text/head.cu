// Straight from hidden states [rows, width] and the head [vocabulary, width]: logits exist only as
// tiles of TILE_ROWS x TILE_VOCABULARY in shared memory, made again in the pass back.
#define PONENS_TILE_ROWS 32
#define PONENS_TILE_VOCABULARY 64
#define PONENS_TILE_WIDTH 32
// Elements that no row of a tile shares a bank with.
#define PONENS_PAD 8

// C [16, 8] += A [16, 16] B [16, 8] on the tensor cores, f32 sums.
__device__ __forceinline__ void ponens_mma(PonensBf16, float* c, const unsigned* a, const unsigned* b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void ponens_mma(PonensF16, float* c, const unsigned* a, const unsigned* b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Sums of products of two tiles, [M, K] and [N, K] in shared memory with K innermost, over 8 warps.
template <class E, int M, int N, int K> struct PonensProduct {
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
    __device__ __forceinline__ void add(const typename E::Stored* a, const typename E::Stored* b) {
        const int S = K + PONENS_PAD;
        int group = threadIdx.x % 32 / 4, pair = threadIdx.x % 4 * 2;
#pragma unroll
        for (int k = 0; k < K; k += 16) {
            unsigned x[4];
            const typename E::Stored* p = a + row(0) * S + k + pair;
            x[0] = *(const unsigned*)p;
            x[1] = *(const unsigned*)(p + 8 * S);
            x[2] = *(const unsigned*)(p + 8);
            x[3] = *(const unsigned*)(p + 8 * S + 8);
#pragma unroll
            for (int j = 0; j < WIDE; ++j) {
                unsigned y[2];
                const typename E::Stored* q =
                    b + ((threadIdx.x / 32 / ACROSS * WIDE + j) * 8 + group) * S + k + pair;
                y[0] = *(const unsigned*)q;
                y[1] = *(const unsigned*)(q + 8);
                ponens_mma(E(), sum[j], x, y);
            }
        }
    }
};

// In f32 the tensor cores would round the factors: plain sums instead, in the same places.
template <int M, int N, int K> struct PonensProduct<PonensF32, M, N, K> {
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
    __device__ __forceinline__ void add(const float* a, const float* b) {
        const int S = K + PONENS_PAD;
#pragma unroll 4
        for (int k = 0; k < K; ++k) {
            float x[2] = { a[row(0) * S + k], a[row(2) * S + k] };
#pragma unroll
            for (int j = 0; j < WIDE; ++j) {
                float y[2] = { b[column(j, 0) * S + k], b[column(j, 1) * S + k] };
#pragma unroll
                for (int i = 0; i < 4; ++i) sum[j][i] = fmaf(x[i / 2], y[i % 2], sum[j][i]);
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

// The factors of the logits, and later, in the pass back, one factor of the second product.
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

// Block (tile of rows, split of the vocabulary): the sums over its words, to be joined in order.
// part: [splits, rows] of PonensRow's max and sum, and the target's logit where the split holds it.
template <class E>
__device__ __forceinline__ void ponens_head_forward(
    long long rows, long long vocabulary, long long width, int splits,
    const typename E::Stored* __restrict__ hidden, const typename E::Stored* __restrict__ head,
    const int* __restrict__ target, float* __restrict__ part_max, float* __restrict__ part_sum,
    float* __restrict__ part_target) {
    typedef PonensWants<false, false, false, false> W;
    __shared__ PonensHeadShared<E> s;
    long long tiles = (rows + PONENS_TILE_ROWS - 1) / PONENS_TILE_ROWS;
    long long words = (vocabulary + PONENS_TILE_VOCABULARY - 1) / PONENS_TILE_VOCABULARY;
    int own = threadIdx.x / 8, part = threadIdx.x % 8;
    for (long long b = blockIdx.x; b < tiles * splits; b += gridDim.x) {
        long long first = b / splits * PONENS_TILE_ROWS;
        int split = b % splits;
        long long row = first + own;
        int wanted = row < rows ? target[row] : -1;
        PonensRow r = ponens_row_empty();
        float found = 0.0f;
        for (long long w = split; w < words; w += splits) {
            long long word = w * PONENS_TILE_VOCABULARY;
            ponens_head_tile<E>(s, hidden, head, first, rows, word, vocabulary, width);
            for (int c = part; c < PONENS_TILE_VOCABULARY; c += 8) {
                if (word + c >= vocabulary) break;
                float x = s.logits[own][c];
                bool own = word + c == wanted;
                ponens_row_add<W, 1>(r, &x, &x, own ? 0 : 1);
                if (own) found = x;
            }
        }
        // The eight threads of a row stand side by side in a warp; seven of them have found 0.
#pragma unroll
        for (int offset = 4; offset > 0; offset /= 2) {
            PonensRow o = r;
            o.max = __shfl_xor_sync(0xffffffffu, r.max, offset);
            o.sum = __shfl_xor_sync(0xffffffffu, r.sum, offset);
            r = ponens_row_join<W>(r, o);
            found += __shfl_xor_sync(0xffffffffu, found, offset);
        }
        if (part == 0 && row < rows) {
            part_max[split * rows + row] = r.max;
            part_sum[split * rows + row] = r.sum;
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
        float x = 0.0f;
        for (int p = 0; p < splits; ++p) {
            PonensRow o = ponens_row_empty();
            o.max = part_max[p * rows + i];
            o.sum = part_sum[p * rows + i];
            r = ponens_row_join<W>(r, o);
            x += part_target[p * rows + i];
        }
        x = target[i] >= vocabulary ? PONENS_INF - PONENS_INF : x - r.max;
        logp[i] = target[i] < 0 ? 0.0f : ponens_logp(logf(r.sum), x);
        normaliser[i] = target[i] < 0 ? 0.0f : r.max + logf(r.sum + expf(x));
    }
}

// d loss / d logit of the tile in shared memory, over the logits; 0 outside and where a row does not
// count.
template <class E>
__device__ __forceinline__ void ponens_head_slopes(PonensHeadShared<E>& s, long long first,
                                                   long long rows, long long word,
                                                   long long vocabulary,
                                                   const int* __restrict__ target,
                                                   const float* __restrict__ logp,
                                                   const float* __restrict__ normaliser,
                                                   const float* __restrict__ d_logp) {
    for (int i = threadIdx.x; i < PONENS_TILE_ROWS * PONENS_TILE_VOCABULARY; i += PONENS_THREADS) {
        int r = i / PONENS_TILE_VOCABULARY, c = i % PONENS_TILE_VOCABULARY;
        long long row = first + r;
        bool counts = row < rows && word + c < vocabulary && target[row < rows ? row : 0] >= 0;
        float d = 0.0f;
        if (counts) {
            float p = expf(s.logits[r][c] - normaliser[row]);
            d = d_logp[row] * (word + c == target[row] ? -expm1f(logp[row]) : -p);
        }
        s.logits[r][c] = d;
    }
    __syncthreads();
}

template <class E> struct PonensHeadBackShared {
    PonensHeadShared<E> tile;
    // The slopes with the summed index innermost: [rows, words] or [words, rows].
    typename E::Stored slopes[PONENS_TILE_VOCABULARY * (PONENS_TILE_ROWS + PONENS_PAD)];
};

// d loss / d hidden: block (tile of rows, split of the vocabulary) adds up slope x head over its words
// into its own part [splits, rows, width] in f32, which is 0 before.
template <class E>
__device__ __forceinline__ void ponens_head_backward_hidden(
    long long rows, long long vocabulary, long long width, int splits,
    const typename E::Stored* __restrict__ hidden, const typename E::Stored* __restrict__ head,
    const int* __restrict__ target, const float* __restrict__ logp,
    const float* __restrict__ normaliser,
    const float* __restrict__ d_logp, float* part) {
    __shared__ PonensHeadBackShared<E> s;
    const int V = PONENS_TILE_VOCABULARY, R = PONENS_TILE_ROWS, S = V + PONENS_PAD;
    long long tiles = (rows + R - 1) / R, words = (vocabulary + V - 1) / V;
    for (long long b = blockIdx.x; b < tiles * splits; b += gridDim.x) {
        long long first = b / splits * R;
        int split = b % splits;
        for (long long w = split; w < words; w += splits) {
            long long word = w * V;
            ponens_head_tile<E>(s.tile, hidden, head, first, rows, word, vocabulary, width);
            ponens_head_slopes<E>(s.tile, first, rows, word, vocabulary, target, logp,
                                  normaliser, d_logp);
            for (int i = threadIdx.x; i < R * V; i += PONENS_THREADS)
                s.slopes[i / V * S + i % V] = E::write(s.tile.logits[i / V][i % V]);
            for (long long k = 0; k < width; k += V) {
                __syncthreads();
                ponens_tile_load<E, V, V, true>(s.tile.factor, head, word, vocabulary, k, width);
                __syncthreads();
                PonensProduct<E, PONENS_TILE_ROWS, PONENS_TILE_VOCABULARY, PONENS_TILE_VOCABULARY> p;
                p.clear();
                p.add(s.slopes, s.tile.factor);
#pragma unroll
                for (int j = 0; j < p.WIDE; ++j)
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        long long row = first + p.row(i), column = k + p.column(j, i);
                        if (row < rows && column < width)
                            part[(split * rows + row) * width + column] += p.sum[j][i];
                    }
            }
            __syncthreads();
        }
    }
}

// The parts of d loss / d hidden, added in order.
template <class E>
__device__ __forceinline__ void ponens_head_add(long long count, int splits,
                                                const float* __restrict__ part,
                                                typename E::Stored* __restrict__ d_hidden) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count;
         i += (long long)gridDim.x * blockDim.x) {
        float sum = 0.0f;
        for (int p = 0; p < splits; ++p) sum += part[p * count + i];
        d_hidden[i] = E::write(sum);
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
    __shared__ PonensHeadBackShared<E> s;
    const int V = PONENS_TILE_VOCABULARY, R = PONENS_TILE_ROWS, S = R + PONENS_PAD;
    long long words = (vocabulary + V - 1) / V;
    for (long long w = blockIdx.x; w < words; w += gridDim.x) {
        long long word = w * V;
        for (long long first = 0; first < rows; first += R) {
            ponens_head_tile<E>(s.tile, hidden, head, first, rows, word, vocabulary, width);
            ponens_head_slopes<E>(s.tile, first, rows, word, vocabulary, target, logp,
                                  normaliser, d_logp);
            for (int i = threadIdx.x; i < R * V; i += PONENS_THREADS)
                s.slopes[i % V * S + i / V] = E::write(s.tile.logits[i / V][i % V]);
            for (long long k = 0; k < width; k += V) {
                __syncthreads();
                ponens_tile_load<E, R, V, true>(s.tile.factor, hidden, first, rows, k, width);
                __syncthreads();
                PonensProduct<E, PONENS_TILE_VOCABULARY, PONENS_TILE_VOCABULARY, PONENS_TILE_ROWS> p;
                p.clear();
                p.add(s.slopes, s.tile.factor);
#pragma unroll
                for (int j = 0; j < p.WIDE; ++j)
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        long long at = word + p.row(i), column = k + p.column(j, i);
                        if (at < vocabulary && column < width) d_head[at * width + column] += p.sum[j][i];
                    }
            }
            __syncthreads();
        }
    }
}
