// Types of logits: how 16 bytes of memory become f32 numbers, and back with rounding to nearest.
struct PonensF32 {
    typedef float Stored;
    enum { WIDTH = 4 };
    static __device__ __forceinline__ float read(float x) { return x; }
    static __device__ __forceinline__ float write(float x) { return x; }
    static __device__ __forceinline__ void unpack(uint4 q, float* x) {
        x[0] = __uint_as_float(q.x);
        x[1] = __uint_as_float(q.y);
        x[2] = __uint_as_float(q.z);
        x[3] = __uint_as_float(q.w);
    }
    static __device__ __forceinline__ uint4 pack(const float* x) {
        return make_uint4(__float_as_uint(x[0]), __float_as_uint(x[1]), __float_as_uint(x[2]),
                          __float_as_uint(x[3]));
    }
};

// The two types of 16 bits: E reads one number and rounds two of them into a word.
template <class E> struct PonensHalf {
    typedef unsigned short Stored;
    enum { WIDTH = 8 };
    static __device__ __forceinline__ unsigned short write(float x) {
        return (unsigned short)E::pair(x, 0.0f);
    }
    static __device__ __forceinline__ void unpack(uint4 q, float* x) {
        unsigned w[4] = { q.x, q.y, q.z, q.w };
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            x[2 * i] = E::read((unsigned short)w[i]);
            x[2 * i + 1] = E::read((unsigned short)(w[i] >> 16));
        }
    }
    static __device__ __forceinline__ uint4 pack(const float* x) {
        return make_uint4(E::pair(x[0], x[1]), E::pair(x[2], x[3]), E::pair(x[4], x[5]),
                          E::pair(x[6], x[7]));
    }
};

struct PonensBf16 : PonensHalf<PonensBf16> {
    static __device__ __forceinline__ float read(unsigned short x) {
        return __uint_as_float((unsigned)x << 16);
    }
    static __device__ __forceinline__ unsigned pair(float low, float high) {
        unsigned r;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
        return r;
    }
};

struct PonensF16 : PonensHalf<PonensF16> {
    static __device__ __forceinline__ float read(unsigned short x) {
        float r;
        asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
        return r;
    }
    static __device__ __forceinline__ unsigned pair(float low, float high) {
        unsigned r;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
        return r;
    }
};
