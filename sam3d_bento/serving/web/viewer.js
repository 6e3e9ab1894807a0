// Show a GLB in a canvas with three.js. Frames are drawn only when something changed.

import {
  AmbientLight, Box3, DirectionalLight, GLTFLoader, HemisphereLight, LineBasicMaterial, LineSegments,
  MeshBasicMaterial, MeshoptDecoder, OrbitControls, PerspectiveCamera, Scene, Spherical, Vector3, WebGLRenderer,
  WireframeGeometry,
} from "./vendor/three.js";

const FIELD_OF_VIEW = 35; // degrees
const FRONT = new Vector3(0.45, 0.3, 1); // the side that the photo saw faces +z
const ROOM = 1.08; // radius of the view, in radii of the model
const NEAREST = 0.3; // smallest distance of the camera, in distances of the first view
const FARTHEST = 4; // largest distance of the camera, in distances of the first view
const ZOOM_STEP = 1.25; // factor of the distance for one step
const TURN_STEP = Math.PI / 24; // radians

export class Viewer {
  /** Throw an Error if the browser has no WebGL. */
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: true });
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.01, 100);
    this.light = [new HemisphereLight(0xffffff, 0x8d8478, 1.8), new AmbientLight(0xffffff, 0.5), new DirectionalLight(0xffffff, 1.6)];
    this.camera.add(this.light[2]); // the light moves with the camera, so that the visible side is lit
    this.light[2].position.set(-1, 1.5, 1);
    this.scene.add(this.camera, this.light[0], this.light[1]);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.controls.addEventListener("change", () => this.draw());
    this.loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  /** Show the model in a GLB (ArrayBuffer) from the front. */
  async show(glb) {
    const { scene } = await this.loader.parseAsync(glb, "");
    this.#discard();
    this.model = scene;
    this.meshes = [];
    scene.traverse((object) => object.isMesh && this.meshes.push(object));
    for (const mesh of this.meshes) {
      mesh.userData.lit = mesh.material;
      mesh.userData.unlit = new MeshBasicMaterial({ map: mesh.material.map });
    }
    this.scene.add(scene);
    this.centre = new Box3().setFromObject(scene).getCenter(new Vector3());
    this.radius = Math.max(...this.meshes.map((mesh) => reach(mesh, this.centre)));
    this.#resize();
    this.reset();
  }

  /** The model's texture image; null if it has none. */
  get texture() {
    return this.meshes.find((mesh) => mesh.userData.lit.map)?.userData.lit.map.image ?? null;
  }

  set lit(on) {
    for (const mesh of this.meshes) mesh.material = on ? mesh.userData.lit : mesh.userData.unlit;
    this.draw();
  }

  set wireframe(on) {
    for (const mesh of this.meshes) {
      // Made at the first use, because it holds three times as many numbers as the mesh itself.
      if (on && !mesh.userData.wires) {
        const colour = new LineBasicMaterial({ color: 0x0b6b5d, transparent: true, opacity: 0.55 });
        mesh.userData.wires = new LineSegments(new WireframeGeometry(mesh.geometry), colour);
        mesh.add(mesh.userData.wires);
      }
      if (mesh.userData.wires) mesh.userData.wires.visible = on;
    }
    this.draw();
  }

  set turning(on) {
    this.controls.autoRotate = on;
    this.draw();
  }

  reset() {
    const distance = (ROOM * this.radius) / Math.sin((Math.min(this.#angle, FIELD_OF_VIEW) * Math.PI) / 360);
    this.camera.position.copy(FRONT).setLength(distance).add(this.centre);
    this.controls.target.copy(this.centre);
    Object.assign(this.controls, { minDistance: NEAREST * distance, maxDistance: FARTHEST * distance });
    this.controls.update();
    this.draw();
  }

  /** Move the camera nearer by a number of steps, farther if negative. */
  zoom(steps) {
    this.#move((place) => (place.radius *= ZOOM_STEP ** -steps));
  }

  turn(right, up) {
    this.#move((place) => {
      place.theta += right * TURN_STEP;
      place.phi -= up * TURN_STEP;
    });
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const moving = this.controls.update(); // fires "change" if the camera moved, which requests the next frame
      this.renderer.render(this.scene, this.camera);
      if (moving || this.controls.autoRotate) this.draw();
    });
  }

  #move(change) {
    const place = new Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target));
    change(place.makeSafe());
    place.radius = Math.min(this.controls.maxDistance, Math.max(this.controls.minDistance, place.radius));
    this.camera.position.setFromSpherical(place.makeSafe()).add(this.controls.target);
    this.controls.update();
    this.draw();
  }

  /** The horizontal field of view, degrees. */
  get #angle() {
    return (360 / Math.PI) * Math.atan(Math.tan((FIELD_OF_VIEW * Math.PI) / 360) * this.camera.aspect);
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.draw();
  }

  /** Free the memory of the previous model. */
  #discard() {
    if (!this.model) return;
    this.scene.remove(this.model);
    for (const { geometry, userData } of this.meshes) {
      geometry.dispose();
      userData.wires?.geometry.dispose();
      userData.lit.map?.dispose();
      userData.lit.dispose();
      userData.unlit.dispose();
    }
  }
}

/** Return the distance of the mesh's farthest vertex from a point. */
function reach(mesh, point) {
  const { position } = mesh.geometry.attributes;
  const vertex = new Vector3();
  let farthest = 0;
  for (let i = 0; i < position.count; i += 1) {
    vertex.fromBufferAttribute(position, i).applyMatrix4(mesh.matrixWorld);
    farthest = Math.max(farthest, vertex.distanceTo(point));
  }
  return farthest;
}
