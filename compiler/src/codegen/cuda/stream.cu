#define PONENS_THREADS 256

// The running maximum and the sum of exponentials relative to it.
struct PonensLse { float max, sum; };

__device__ __forceinline__ PonensLse ponens_lse_join(PonensLse a, PonensLse b) {
    float m = fmaxf(a.max, b.max);
    if (m == -PONENS_INF) return a;
    PonensLse r = { m, a.sum * expf(a.max - m) + b.sum * expf(b.max - m) };
    return r;
}

__device__ __forceinline__ PonensLse ponens_lse_add(PonensLse a, float x) {
    if (x <= a.max) { a.sum += expf(x - a.max); return a; }
    PonensLse r = { x, (a.max == -PONENS_INF ? 0.0f : a.sum * expf(a.max - x)) + 1.0f };
    return r;
}

// Elements before the first 16-byte boundary of a row: row bases are aligned only when the
// vocabulary is a multiple of four.
__device__ __forceinline__ long long ponens_head(const float* row, long long vocabulary) {
    long long misaligned = ((unsigned long long)row >> 2) & 3;
    long long head = misaligned ? 4 - misaligned : 0;
    return head < vocabulary ? head : vocabulary;
}

// One block a row: log-probability of the target, and the log-sum-exp for the backward pass.
// Rows whose target is negative are padding: their log-probability is 0.
extern "C" __global__ void ponens_token_logp(long long rows, long long vocabulary,
                                             const float* __restrict__ logits,
                                             const int* __restrict__ target,
                                             float* __restrict__ logp, float* __restrict__ lse) {
    __shared__ float shared_max[PONENS_THREADS];
    __shared__ float shared_sum[PONENS_THREADS];
    for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
        const float* row = logits + r * vocabulary;
        PonensLse own = { -PONENS_INF, 0.0f };
        long long head = ponens_head(row, vocabulary);
        long long quads = (vocabulary - head) / 4;
        const float4* body = (const float4*)(row + head);
        for (long long i = threadIdx.x; i < head; i += blockDim.x) own = ponens_lse_add(own, row[i]);
        for (long long i = threadIdx.x; i < quads; i += blockDim.x) {
            float4 q = body[i];
            own = ponens_lse_add(own, q.x);
            own = ponens_lse_add(own, q.y);
            own = ponens_lse_add(own, q.z);
            own = ponens_lse_add(own, q.w);
        }
        for (long long i = head + 4 * quads + threadIdx.x; i < vocabulary; i += blockDim.x)
            own = ponens_lse_add(own, row[i]);
        shared_max[threadIdx.x] = own.max;
        shared_sum[threadIdx.x] = own.sum;
        __syncthreads();
        for (int half = PONENS_THREADS / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) {
                PonensLse a = { shared_max[threadIdx.x], shared_sum[threadIdx.x] };
                PonensLse b = { shared_max[threadIdx.x + half], shared_sum[threadIdx.x + half] };
                PonensLse c = ponens_lse_join(a, b);
                shared_max[threadIdx.x] = c.max;
                shared_sum[threadIdx.x] = c.sum;
            }
            __syncthreads();
        }
        if (threadIdx.x == 0) {
            float total = shared_max[0] + logf(shared_sum[0]);
            lse[r] = total;
            logp[r] = target[r] < 0 ? 0.0f : row[target[r]] - total;
        }
        __syncthreads();
    }
}

// In place: logits become d loss / d logits = g (onehot - softmax), g the gradient of the row's
// log-probability.
extern "C" __global__ void ponens_token_backward(long long rows, long long vocabulary,
                                                 float* __restrict__ logits,
                                                 const int* __restrict__ target,
                                                 const float* __restrict__ lse,
                                                 const float* __restrict__ gradient) {
    for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
        float* row = logits + r * vocabulary;
        float g = target[r] < 0 ? 0.0f : gradient[r];
        float z = lse[r];
        long long head = ponens_head(row, vocabulary);
        long long quads = (vocabulary - head) / 4;
        float4* body = (float4*)(row + head);
        long long tail = head + 4 * quads;
        for (long long i = threadIdx.x; i < head; i += blockDim.x)
            row[i] = g * ((i == target[r] ? 1.0f : 0.0f) - expf(row[i] - z));
        for (long long i = threadIdx.x; i < quads; i += blockDim.x) {
            float4 q = body[i];
            long long v = head + 4 * i;
            q.x = g * ((v == target[r] ? 1.0f : 0.0f) - expf(q.x - z));
            q.y = g * ((v + 1 == target[r] ? 1.0f : 0.0f) - expf(q.y - z));
            q.z = g * ((v + 2 == target[r] ? 1.0f : 0.0f) - expf(q.z - z));
            q.w = g * ((v + 3 == target[r] ? 1.0f : 0.0f) - expf(q.w - z));
            body[i] = q;
        }
        for (long long i = tail + threadIdx.x; i < vocabulary; i += blockDim.x)
            row[i] = g * ((i == target[r] ? 1.0f : 0.0f) - expf(row[i] - z));
    }
}
