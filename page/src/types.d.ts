declare module "worker:*" {
  const source: string;
  export default source;
}
declare module "*.css" {
  const text: string;
  export default text;
}
declare module "text:*" {
  const text: string;
  export default text;
}
