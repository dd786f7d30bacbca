// Token to sequence, one warp an example: the sum of a statistic over rows [start, end) and how many of
// them count. Sums of tokens are in f64: a thousand roundings to f32 would be seen in the loss.
extern "C" __global__ void __launch_bounds__(PONENS_THREADS, PONENS_BLOCKS) ponens_sequence_sum(
    long long examples, const long long* __restrict__ start, const long long* __restrict__ end,
    const int* __restrict__ target, const float* __restrict__ statistic, int mean,
    float* __restrict__ column) {
    int lane = threadIdx.x % 32;
    long long warps = (long long)gridDim.x * (PONENS_THREADS / 32);
    for (long long e = blockIdx.x * (long long)(PONENS_THREADS / 32) + threadIdx.x / 32;
         e < examples; e += warps) {
        double sum = 0.0;
        int count = 0;
        for (long long i = start[e] + lane; i < end[e]; i += 32) {
            if (target[i] >= 0) { sum += (double)statistic[i]; ++count; }
        }
#pragma unroll
        for (int offset = 16; offset > 0; offset /= 2) {
            sum += __shfl_xor_sync(0xffffffffu, sum, offset);
            count += __shfl_xor_sync(0xffffffffu, count, offset);
        }
        // The mean of an empty response is 0.
        if (lane == 0) column[e] = (float)(mean && count > 0 ? sum / (double)count : sum);
    }
}

// Sequence to token: adds the derivative of a sum, or of a mean, times `scale` to each row that it
// counted.
extern "C" __global__ void __launch_bounds__(PONENS_THREADS, PONENS_BLOCKS) ponens_sequence_back(
    long long examples, const long long* __restrict__ start, const long long* __restrict__ end,
    const int* __restrict__ target, const float* __restrict__ d_column, int mean, float scale,
    float* d_row) {
    int lane = threadIdx.x % 32;
    long long warps = (long long)gridDim.x * (PONENS_THREADS / 32);
    for (long long e = blockIdx.x * (long long)(PONENS_THREADS / 32) + threadIdx.x / 32;
         e < examples; e += warps) {
        int count = 0;
        for (long long i = start[e] + lane; i < end[e]; i += 32) count += target[i] >= 0;
#pragma unroll
        for (int offset = 16; offset > 0; offset /= 2)
            count += __shfl_xor_sync(0xffffffffu, count, offset);
        float d = scale * (mean && count > 0 ? d_column[e] / (float)count : d_column[e]);
        for (long long i = start[e] + lane; i < end[e]; i += 32) {
            if (target[i] >= 0) d_row[i] += d;
        }
    }
}

// The rank of every value in a batch, and the values in ascending order; equal values stay in order,
// NaN comes last.
extern "C" __global__ void __launch_bounds__(PONENS_THREADS, PONENS_BLOCKS) ponens_rank(
    long long examples, const float* __restrict__ values, long long* __restrict__ rank,
    float* __restrict__ sorted) {
    for (long long e = blockIdx.x * (long long)blockDim.x + threadIdx.x; e < examples;
         e += (long long)gridDim.x * blockDim.x) {
        float x = values[e];
        long long before = 0;
        for (long long i = 0; i < examples; ++i) {
            float y = values[i];
            bool less = y < x || (x != x && y == y);
            bool same = y == x || (x != x && y != y);
            before += less || (same && i < e);
        }
        rank[e] = before;
        sorted[before] = x;
    }
}
